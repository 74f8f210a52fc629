#!/bin/sh
# build.sh STAGE VERSION OUT: makes a Debian package of a staged tree.
# Plain dpkg-deb: debhelper would need a source package around the same few files.
set -eu
me=$(realpath "$(dirname "$0")")
cd "$me/../.."
stage=$(realpath "$1")
version=$2
out=$3
arch=$(dpkg --print-architecture)
doc=$stage/usr/share/doc/reuseport-migrate
export LC_ALL=C.UTF-8 TZ=UTC

mkdir -p "$stage/etc/default" "$doc/examples" "$stage/usr/share/lintian/overrides" "$stage/DEBIAN"
cp packaging/etc/default "$stage/etc/default/reuseport-migrate"
cp packaging/etc/reuseport-migrate.yaml "$stage/etc/"
mv "$stage/usr/share/zsh/site-functions" "$stage/usr/share/zsh/vendor-completions"
cp deploy/reuseport-migrate.yaml "$doc/examples/"
cp "$me/lintian-overrides" "$stage/usr/share/lintian/overrides/reuseport-migrate"
node dist/packaging/bundled/write_copyright.js >"$doc/copyright"
gzip -9n <CHANGELOG.md >"$doc/changelog.gz"
gzip -9n >"$doc/changelog.Debian.gz" <<END
reuseport-migrate ($version) unstable; urgency=medium

  * See changelog.gz.

 -- $(sed -n 's/^Maintainer: //p' "$me/control")  $(date -Rd "@$SOURCE_DATE_EPOCH")
END
gzip -9n "$stage"/usr/share/man/man*/*

cp "$me/postinst" "$me/prerm" "$me/postrm" "$me/conffiles" "$stage/DEBIAN/"
chmod -R u=rwX,go=rX "$stage"
chmod 755 "$stage"/DEBIAN/p*
(cd "$stage" && find . -type f ! -path './DEBIAN/*' ! -path './etc/*' -printf '%P\0' | sort -z |
	xargs -0 md5sum) >"$stage/DEBIAN/md5sums"
# Policy: files are rounded up to 1 KiB, everything else is 1 KiB.
size=$(find "$stage" ! -path '*/DEBIAN*' -printf '%y %s\n' |
	awk '{ sum += $1 == "f" ? int(($2 + 1023) / 1024) : 1 } END { print sum }')
sed "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@SIZE@/$size/" "$me/control" >"$stage/DEBIAN/control"

find "$stage" -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$out"
# Level 2: 3 MB more than level 6, and a quarter of its time.
dpkg-deb --root-owner-group -Zxz -z2 --build "$stage" "$out/reuseport-migrate_${version}_$arch.deb" >/dev/null
