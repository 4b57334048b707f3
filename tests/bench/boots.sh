# shellcheck shell=bash disable=SC2154
#
# A boot, from exec to the guest's power-off, beside QEMU's. Sourced by run.
#
# There is a second guest, `debian`, the stock cloud kernel of Debian 12, most of
# whose time is its own.

host --kernel newest
put_qemu
debian=$(tests/setup/kernel bookworm-cloud)
put "$debian/vmlinuz" debian

# figures GUEST COMMAND...: "NS EXITS MMIO BYTES"
figures()
{
	local kernel=/tmp/$1 ns exits bytes
	shift
	set -- "${@/#KERNEL/$kernel}"
	in_lab /tmp/measure time "$@" >/dev/null 2>&1 # fill the page cache
	ns=$(in_lab /tmp/measure time "$@" 2>/dev/null)
	exits=$(in_lab /tmp/measure exits "$@" 2>/dev/null)
	bytes=$(in_lab /tmp/measure memory $((memory << 20)) "$@" 2>/dev/null)
	echo "$ns $exits $bytes"
}

printf '%-8s %-7s %14s %18s %20s\n' guest monitor 'exec->off, ms' \
	'KVM exits (MMIO)' 'memory outside, MB'
for guest in lean debian; do
	say "measuring the $guest guest"
	ours=$(figures $guest "${belfry[@]}")
	theirs=$(figures $guest "${qemu[@]}")
	awk -v guest=$guest -v ours="$ours" -v theirs="$theirs" '
	function row(who, f) {
		printf "%-8s %-7s %14.1f %10d (%5d) %20.2f\n", guest, who,
			f[1] / 1e6, f[2], f[3], f[4] / 1e6
	}
	BEGIN {
		split(ours, a); split(theirs, b)
		row("belfry", a); row("qemu", b)
		printf "%-8s %-7s %14.3f %10.3f %7s %20.3f\n", guest, "ratio",
			a[1] / b[1], a[2] / b[2], "", a[4] / b[4]
	}'
done
