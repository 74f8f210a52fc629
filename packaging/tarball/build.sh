#!/bin/sh
# build.sh STAGE VERSION OUT: makes a tar.gz of a staged tree, with install.sh.
set -eu
me=$(realpath "$(dirname "$0")")
cd "$me/../.."
stage=$(realpath "$1")
name=reuseport-migrate-$2-linux-$(uname -m)
out=$3
tree=$stage/$name

mv "$stage/usr/local" "$tree"
mkdir -p "$tree/etc/default" "$tree/doc"
cp packaging/etc/default "$tree/etc/default/reuseport-migrate"
cp packaging/etc/reuseport-migrate.yaml "$tree/etc/"
cp LICENSE CHANGELOG.md docs/INSTALL.md "$tree/doc/"
node dist/packaging/bundled/write_copyright.js >"$tree/doc/copyright"
cp "$me/install.sh" "$tree/"
chmod -R u=rwX,go=rX "$tree"
mkdir -p "$out"
tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
	--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
	-C "$stage" -cf - "$name" | gzip -6n >"$out/$name.tar.gz"
