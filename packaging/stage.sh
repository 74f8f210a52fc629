#!/bin/sh
# stage.sh DIR PREFIX: installs into DIR what every package holds, with a Node of its own.
set -eu
cd "$(dirname "$0")/.."
dir=$(realpath -m "$1")
prefix=$2
lib=$dir$prefix/lib/reuseport-migrate
bin=$dir$prefix/bin/reuseport-migrate
case $(uname -m) in
x86_64) arch=x64 ;;
aarch64) arch=arm64 ;;
*) echo "stage.sh: no Node runtime for $(uname -m)" >&2; exit 1 ;;
esac
node=packaging/node/node_modules/node-linux-$arch

rm -rf "$dir"
make --no-print-directory install DESTDIR="$dir" PREFIX="$prefix"

# What runs, and nothing else.
rm -rf "$lib"/node_modules/koffi/doc "$lib"/node_modules/koffi/lib "$lib"/node_modules/koffi/vendor \
	"$lib"/node_modules/koffi/cnoke.cjs "$lib"/node_modules/koffi/src/koffi/src/trampolines.cjs \
	"$lib"/node_modules/@koromix/*/musl_* "$lib"/node_modules/yaml/bin.mjs
find "$lib" -name '*.d.ts' -delete
find "$lib/node_modules" -type f ! -name '*.js' ! -name '*.mjs' ! -name '*.cjs' ! -name '*.json' \
	! -name '*.node' -delete
find "$lib/node_modules" -depth -type d -empty -delete
find "$lib/node_modules" -type f -exec chmod 644 {} +

mkdir "$lib/bin"
strip --strip-unneeded --remove-section .comment -o "$lib/bin/node" "$node/bin/node"
find "$lib" -name '*.node' -exec strip --strip-unneeded --remove-section .comment {} +
find "$lib/dist/loader" -type f -perm -u+x -exec strip --remove-section .comment {} +
chmod 755 "$lib/bin/node"

# Node and its options, as in the first line of bin.js, but ours.
options=$(sed -n '1s|^#!/usr/bin/env -S node ||p' "$lib/dist/cli/bin.js")
[ -n "$options" ]
sed -i '1s|^#!.*|// Started by the launcher in bin.|' "$lib/dist/cli/bin.js"
chmod 644 "$lib/dist/cli/bin.js"
rm "$bin"
cat >"$bin" <<END
#!/bin/sh
# With a Node of its own, which no other program uses.
lib=$prefix/lib/reuseport-migrate
exec "\$lib/bin/node" $options "\$lib/dist/cli/bin.js" "\$@"
END

chmod 755 "$bin"
chmod -R u=rwX,go=rX "$dir"
