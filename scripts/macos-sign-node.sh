#!/bin/sh
# Makes a copy of node that may use vmnet without root, on macOS 26 and later.
#
#   scripts/macos-sign-node.sh [TARGET]        default: ~/.tapswitch/node
#   ~/.tapswitch/node dist/cli/main.js run
#
# vmnet asks for the entitlement com.apple.security.virtualization, and from macOS 26 on an ad-hoc signature is enough to claim it.
# The entitlements that node has already are kept: without those for JIT code it does not start. The copy is for this machine
# only, and is to be made anew after node was updated. Up to macOS 15 vmnet needs root, whatever the signature says.
set -eu

fail() {
  echo "macos-sign-node: $1" >&2
  exit 1
}

[ "$(uname -s)" = Darwin ] || fail "this is $(uname -s); vmnet is a part of macOS"
version=$(sw_vers -productVersion)
[ "${version%%.*}" -ge 26 ] || fail "this is macOS $version: before macOS 26 vmnet needs root, and no signature of ours changes that"
node=$(command -v node) || fail "there is no node on PATH"
command -v codesign >/dev/null || fail "there is no codesign: xcode-select --install"

target=${1:-$HOME/.tapswitch/node}
[ "$target" != "$node" ] || fail "$target is the node that is installed; the copy goes elsewhere"
mkdir -p "$(dirname "$target")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A node of a package manager may be a launcher: what runs in the end is what is to be signed.
original=$(node -p process.execPath)
codesign -d --entitlements - --xml "$original" >"$work/entitlements.plist" 2>/dev/null || true
if [ ! -s "$work/entitlements.plist" ]; then
  cat >"$work/entitlements.plist" <<'PLIST'
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict></dict></plist>
PLIST
fi
for key in com.apple.security.cs.allow-jit com.apple.security.cs.allow-unsigned-executable-memory \
  com.apple.security.cs.disable-executable-page-protection com.apple.security.cs.allow-dyld-environment-variables \
  com.apple.security.cs.disable-library-validation com.apple.security.virtualization; do
  /usr/libexec/PlistBuddy -c "Delete :$key" "$work/entitlements.plist" >/dev/null 2>&1 || true
  /usr/libexec/PlistBuddy -c "Add :$key bool true" "$work/entitlements.plist" >/dev/null
done

cp -f "$original" "$work/node"
codesign --force --sign - --entitlements "$work/entitlements.plist" "$work/node"
"$work/node" --version >/dev/null || fail "the signed copy does not start"
mv -f "$work/node" "$target"
echo "$target"
