# Packages: a deb and a tar.gz, which carry their own Node, and the npm package (docs/INSTALL.md).
VERSION := $(shell sed -n 's/^  "version": "\(.*\)",/\1/p' package.json)
DEB_VERSION ?= $(VERSION)-1
PACKAGES := dist/packages
# TypeDoc, with a TypeScript of its own: it does not support ours.
TYPEDOC := packaging/reference/node_modules/.package-lock.json
NODE_RUNTIME := packaging/node/node_modules/.package-lock.json
SCHEMAS := tests/containers/schemas/node_modules/.package-lock.json
# All times in packages: that of the commit, so that the same tree makes the same bytes.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)
deb tarball npm-package release test-packages test-systemd test-containers: export SOURCE_DATE_EPOCH := $(SOURCE_DATE_EPOCH)

.PHONY: deb tarball npm-package release
deb: build $(NODE_RUNTIME) deps-package ## Debian package with its own Node: dist/packages/*.deb
	packaging/stage.sh dist/stage/deb /usr
	packaging/debian/build.sh dist/stage/deb '$(DEB_VERSION)' $(PACKAGES)

tarball: build $(NODE_RUNTIME) deps-package ## the same for other distributions: tar.gz with install.sh
	packaging/stage.sh dist/stage/tarball /usr/local
	packaging/tarball/build.sh dist/stage/tarball '$(VERSION)' $(PACKAGES)

npm-package: build ## npm package, which uses the host's Node
	@mkdir -p $(PACKAGES)
	npm pack --silent --ignore-scripts --pack-destination $(PACKAGES)

release: deps-package ## all packages, SBOM and SHA256SUMS, anew in dist/packages
	rm -rf $(PACKAGES)
	$(MAKE) --no-print-directory deb tarball npm-package
	node dist/packaging/bundled/write_sbom.js >$(PACKAGES)/reuseport-migrate-$(VERSION).cdx.json
	cd $(PACKAGES) && sha256sum reuseport-migrate* >SHA256SUMS

.PHONY: reference
reference: $(NODE_MODULES) $(TYPEDOC) ## the library's reference: dist/reference/index.html
	node packaging/reference/node_modules/typedoc/bin/typedoc --options packaging/reference/typedoc.json

.PHONY: test-packages test-containers
test-packages: export REQUIRE_KERNEL_TESTS = 1
test-packages: root deps-sandbox deps-package deps-packages-test deb tarball npm-package reference test-containers ## the packages on Debian 12 and 13, built twice, lintian, completions, systemd, containers (root, under 60 minutes)
	$(NODE_TEST) $(call tests_in,packages vm)

.PHONY: test-systemd
test-systemd: root deps-package deps-packages-test deb ## a Debian 12 with systemd in a VM, from nothing to restarts without a loss (root, under 25 minutes)
	$(NODE_TEST) $(call tests_in,vm)

test-containers: root deps-package deps-containers-test deb $(SCHEMAS) ## the image and the Kubernetes manifests, with podman in an emulated Debian (root, under 15 minutes)
	$(NODE_TEST) $(call tests_in,containers)

$(NODE_RUNTIME) $(TYPEDOC) $(SCHEMAS): %/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@
