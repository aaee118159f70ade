#!/usr/bin/env bash
# machine.sh KERNEL INIT OUT: what the tier vm's machines boot, in the folder OUT: vmlinuz and initrd. KERNEL is a folder
# with vmlinuz, modules/list (names, in the order in which they are loaded) and modules/. The same of the same: names
# sorted, no times, no owners (cpio(1), newc).
set -euo pipefail
kernel=$1 init=$2 out=$3
mkdir -p "$out"
work=$(mktemp -d "$out/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/tree"
cp -r "$kernel/modules" "$work/tree/modules"
cp "$init" "$work/tree/init"
chmod -R u=rwX,go=rX "$work/tree"
find "$work/tree" -exec touch --no-dereference --date=@0 {} +
(cd "$work/tree" && find . -mindepth 1 | LC_ALL=C sort |
  cpio --create --format=newc --reproducible --owner=0:0 --quiet) >"$work/initrd"
cp "$kernel/vmlinuz" "$work/vmlinuz"
chmod 644 "$work/vmlinuz" "$work/initrd"
mv "$work/vmlinuz" "$out/vmlinuz"
mv "$work/initrd" "$out/initrd"
