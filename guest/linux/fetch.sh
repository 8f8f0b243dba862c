#!/bin/sh
# Takes one file out of a Debian package, without installing the package: fetch.sh OUT PATTERN PACKAGE...
# The first of the packages that the package lists know is taken; where it only stands for the newest version of another
# one (linux-image-cloud-amd64), that one. PATTERN: the file's path in it.
set -eu

out=$1 pattern=$2
shift 2

fail() {
	echo "fetch: $1" >&2
	exit 1
}

for tool in apt-get apt-cache dpkg-deb; do
	command -v "$tool" >/dev/null ||
		fail "no $tool: this is not Debian or Ubuntu; take $pattern out of one of their packages, and put it at $out"
done

known() { apt-cache show --no-all-versions "$1" >/dev/null 2>&1; }

choose() {
	for package; do
		if known "$package"; then
			real=$(apt-cache depends --important "$package" | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
			echo "${real:-$package}"
			return
		fi
	done
}

# A fresh container has no package lists, an old one may have stale lists.
update() {
	if [ "${DEPS:-}" = no ]; then fail "no package of: $* (apt-get update may help)"; fi
	if [ "$(id -u)" -eq 0 ]; then apt-get update; else sudo apt-get update; fi </dev/null >&2 ||
		fail "apt-get update failed: is there a network?"
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# The user that apt-get would download as may not write here.
download() { (cd "$folder" && apt-get download --quiet -o APT::Sandbox::User=root "$1" </dev/null >&2); }

package=$(choose "$@")
if [ -z "$package" ] || ! download "$package"; then
	update "$@"
	package=$(choose "$@")
	if [ -z "$package" ]; then fail "none of these packages is known: $*"; fi
	download "$package" || fail "$package cannot be downloaded: is there a network?"
fi
mkdir -p "$(dirname "$out")"
dpkg-deb --fsys-tarfile "$folder"/*.deb >"$folder/tar"
tar -x -O -f "$folder/tar" --wildcards "$pattern" >"$folder/file" ||
	fail "$package has no $pattern"
cp "$folder/file" "$out"
echo "fetch: $out: $pattern of $package" >&2
