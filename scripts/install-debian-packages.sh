#!/bin/sh
# Installs the packages of debian-packages.txt that are missing. Debian 12 or newer, as root or with sudo.
set -eu

list=$(sed -e 's/#.*//' "$(dirname "$0")/debian-packages.txt" | tr -s '[:space:]' ' ')
missing=
for package in $list; do
  case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true) in
    installed) ;;
    *) missing="$missing $package" ;;
  esac
done
if [ -z "$missing" ]; then
  echo "Debian packages: all installed"
  exit 0
fi

echo "Debian packages: installing$missing"
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
$sudo apt-get -q update
# shellcheck disable=SC2086  # one word a package
$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $missing
