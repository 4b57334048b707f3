# shellcheck shell=bash
#
# Debian packages of any suite and architecture, without touching the
# machine's own apt configuration. Sourced by the scripts beside it.
#
# Private apt trees live in the cache, each with its own source list, package
# lists and downloads. Mirrors and keys are those of the machine's own
# Debian sources; its proxies and pins stay in force. Package lists are fetched
# again when they are a day old. Without a network, what is in the cache keeps
# working.

PATH=$PATH:/usr/sbin:/sbin		# a user's may lack them
cache=${XDG_CACHE_HOME:-$HOME/.cache}/belfry
fresh_for=86400		# seconds that package lists and choices stay valid

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$@"; exit 1; }

# This machine's architecture and suite, as Debian names them.
native=$(dpkg --print-architecture 2>/dev/null) ||
	die "this is not a Debian machine: dpkg is missing"
# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
case $suite:$native in
bookworm:amd64 | bookworm:arm64 | trixie:amd64 | trixie:arm64) ;;
*) die "Debian 12 or 13 on amd64 or arm64 is needed, this is '$suite' on $native" ;;
esac

# is_fresh FILE: FILE (itself, not what it links to) is less than a day old.
is_fresh()
{
	local born

	born=$(stat -c %Y "$1" 2>/dev/null) || return 1
	((born > $(date +%s) - fresh_for))
}

# The machine's sources of Debian itself, as lines of URI, release, entry. Before
# the first "apt-get update" apt cannot tell whose they are, and names decide.
machine_sources()
{
	local known

	known=$(targets | sed -n 's/^Debian|//p')
	[[ $known ]] || known=$(targets --no-release-info | sed 's/^[^|]*|//')
	awk -F'|' -v release="^($suite|stable|oldstable)(-updates|-security)?$" '
		$2 ~ release && $3 == "main" { print $1, $2, $4 }' <<<"$known"
}

# targets OPTION...: origin, URI, release, component and entry of all sources.
targets()
{
	# shellcheck disable=SC2016	# apt expands these
	apt-get indextargets "$@" --format \
	    '$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(SOURCESENTRY)' \
	    'Created-By: Packages' "Architecture: $native"
}

# source_keys FILE:N: the keyrings to check Debian's suites with: those that
# the entry names, which may know a mirror's own key, and Debian's own.
source_keys()
{
	local file=${1%:*} nr=${1##*:} keys k

	case $file in
	*.sources)
		keys=$(awk -v RS= -v n="$nr" 'NR == n' "$file" |
			sed -n 's/^Signed-By:[ \t]*//Ip') ;;
	*)
		keys=$(sed -n "${nr}s/.*signed-by=\([^] ]*\).*/\1/p" "$file") ;;
	esac
	for k in ${keys//,/ } /usr/share/keyrings/debian-archive-keyring.gpg; do
		if [[ $k == /* && -r $k ]]; then echo "$k"; fi
	done | sort -u | paste -sd,
}

# write_sources TREE: the source list of a private tree.
write_sources()
{
	local arch=$1 uri release entry keys s suites

	if [[ $1 == system ]]; then
		arch=$native suites=("$suite" "$suite-backports")
	else
		suites=({bookworm,trixie}{,-backports})
	fi
	while read -r uri release entry; do
		keys=$(source_keys "$entry")
		case $release in
		*-*)	set -- "$release" ;;
		*)	set -- "${suites[@]}" ;;
		esac
		for s; do
			echo "deb [arch=$arch${keys:+ signed-by=$keys}] $uri $s main"
		done
	done < <(machine_sources) | sort -u
}

# apt_at TREE TOOL ARGS...: an apt tool on a private tree. An architecture's
# tree knows both releases and an empty machine: it is for downloads. The tree
# "system" knows this machine's own suite and what is installed: a newer suite
# in it would upgrade the machine.
apt_at()
{
	local tree=$cache/apt/$1 tool=$2 arch=$1 status=$cache/apt/$1/status

	if [[ $1 == system ]]; then
		arch=$native status=/var/lib/dpkg/status
	fi
	"$tool" -o Dir::Etc::sourcelist="$tree/sources.list" \
		-o Dir::Etc::sourceparts=- \
		-o Dir::State::lists="$tree/lists" \
		-o Dir::State::status="$status" \
		-o Dir::Cache="$tree/cache" \
		-o Dir::Cache::pkgcache=pkgcache.bin \
		-o Dir::Cache::srcpkgcache=srcpkgcache.bin \
		-o APT::Architecture="$arch" -o APT::Architectures="$arch" \
		-o APT::Sandbox::User=root -o DPkg::Lock::Timeout=600 \
		"${@:3}"
}

# apt_refresh TREE: the private tree exists and is not a day old, if the network
# lets us.
apt_refresh()
{
	local tree=$cache/apt/$1 lock

	is_fresh "$tree/stamp" && return
	mkdir -p "$tree/lists/partial" "$tree/cache/archives/partial"
	exec {lock}>"$tree/lock"
	flock "$lock"
	if ! is_fresh "$tree/stamp"; then
		touch "$tree/status"
		write_sources "$1" >"$tree/sources.list"
		[[ -s $tree/sources.list ]] ||
			die "no Debian source found in this machine's apt configuration"
		say "fetching the package lists ($1)"
		if apt_at "$1" apt-get -qq -o APT::Update::Error-Mode=any update >&2; then
			touch "$tree/stamp"
		elif [[ -e $tree/stamp ]]; then
			say "no fresh package lists; using those of $(date -r "$tree/stamp")"
		else
			die "cannot fetch the package lists (is there a network?)"
		fi
	fi
	exec {lock}>&-
}

# deb_version TREE SUITE PACKAGE: the newest version of PACKAGE in SUITE.
deb_version()
{
	apt_at "$1" apt-cache madison "$3" |
	awk -F' *[|] *' -v from=" $2/main " '
		index($3, from) { v = v ? v : $2 }
		END { if (!v) exit 1; print v }' ||
		die "there is no package $3 in $2 ($1)"
}

# deb_closure ARCH SUITE PACKAGE...: PACKAGE=VERSION of these and of all that
# they need on an empty machine.
deb_closure()
{
	apt_at "$1" apt-get -s --no-install-recommends -t "$2" \
		install "${@:3}" |
	sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1=\2/p'
}

# deb_unpack ARCH DEST PACKAGE=VERSION...: download and unpack into DEST.
deb_unpack()
{
	local arch=$1 dest=$2 tmp deb

	mkdir -p "$dest"
	dest=$(realpath "$dest")
	tmp=$(mktemp -d "$dest/.debs.XXXXXX")
	(cd "$tmp" && apt_at "$arch" apt-get -q download "${@:3}" >&2) ||
		die "cannot download ${*:3}"
	for deb in "$tmp"/*.deb; do
		dpkg-deb -x "$deb" "$dest"
	done
	rm -rf "$tmp"
}

# needed FILE: the libraries that an ELF file names.
needed()
{
	LC_ALL=C readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p'
}

# copy_libraries ROOT PROGRAM DIR: into DIR, of the packages unpacked in ROOT, the
# libraries that PROGRAM loads, following who needs whom.
copy_libraries()
{
	local todo lib file

	mkdir -p "$3"
	mapfile -t todo < <(needed "$2")
	while ((${#todo[@]})); do
		lib=${todo[0]}
		todo=("${todo[@]:1}")
		[[ ! -e $3/$lib ]] || continue
		file=$(find "$1" -name "$lib" | head -n 1)
		[[ $file ]] || die "${2##*/} needs $lib, which no package of its has"
		cp -L "$file" "$3/$lib"
		mapfile -t -O "${#todo[@]}" todo < <(needed "$file")
	done
}

# cached DIR COMMAND...: DIR, made by COMMAND if it is not there. COMMAND gets
# the name of a fresh directory to fill; it appears as DIR once it is complete,
# and goes away if that fails.
cached()
{
	local dir=$1 tmp lock

	[[ -d $dir ]] && return
	mkdir -p "${dir%/*}"
	exec {lock}>"$dir.lock"
	flock "$lock"
	if [[ ! -d $dir ]]; then
		rm -rf "$dir".tmp.*
		tmp=$(mktemp -d "$dir.tmp.XXXXXX")
		chmod 755 "$tmp"
		(
			trap 'rm -rf "$tmp"' EXIT
			"${@:2}" "$tmp"
			mv "$tmp" "$dir"
		)
	fi
	exec {lock}>&-
}

# chosen LINK COMMAND...: the directory that LINK names. When the link is a day
# old, or older than the script, COMMAND chooses anew: it prints the directory,
# or fails, and then an old choice serves on.
chosen()
{
	local link=$1 dir status=0

	if ! is_fresh "$link" ||
	   (($(stat -c %Y "$link") < $(stat -c %Y "$0"))); then
		mkdir -p "${link%/*}"
		# "if dir=$(...)" would switch off -e inside COMMAND.
		set +e
		dir=$(set -e; "${@:2}")
		status=$?
		set -e
		if ((status == 0)); then
			ln -sfn "$dir" "$link.$$"
			mv -T "$link.$$" "$link"
		elif [[ ! -d $link ]]; then
			return "$status"
		fi
	fi
	realpath "$link"
}
