# shellcheck shell=bash disable=SC2154
#
# What it costs the lean guest to read or write 4 KiB at random places of a disk,
# one or 32 at a time, to take the driver from the disk and give it back, and to
# send or receive 1500 bytes (UDP) or 64 KiB (TCP, segmented by whoever can).
# Sourced by run.
#
# The disk is a block device in the host's memory, of which all is in the page
# cache: of a file in a tmpfs io_uring has every block read by a thread. Of QEMU
# the better of aio=io_uring with and without an I/O thread is shown, and vhost
# is off, as Belfry has none. "guest" ran in the guest, "monitor" is the monitor's
# own code; the rest of the whole is the host's kernel and, for networks, the
# program at their other end.

host --kernel newest
put_qemu
put "$O/guest/wire" wire
in_lab modprobe tun
in_lab modprobe brd rd_nr=1 rd_size=32768
in_lab sh -c 'cat /dev/ram0 >/dev/null'
no_polling

say 'measuring disks and networks'
measure=(/tmp/wire 1 /tmp/measure tasks)
qemu_devices=(-blockdev "driver=host_device,filename=/dev/ram0,aio=io_uring,node-name=d"
	-netdev "tap,id=n,ifname=tap0,script=no,downscript=no,vhost=off"
	-device "virtio-net-pci,netdev=n,disable-legacy=on,romfile=")
qemu_disk=virtio-blk-pci,drive=d,disable-legacy=on
ours=$(tasks '' "${measure[@]}" "${belfry[@]}" --drive path=/dev/ram0 --net tap=tap0)
plain=$(tasks '' "${measure[@]}" "${qemu[@]}" "${qemu_devices[@]}" -device "$qemu_disk")
threaded=$(tasks '' "${measure[@]}" "${qemu[@]}" "${qemu_devices[@]}" \
	-object iothread,id=t -device "$qemu_disk,iothread=t")

awk -v ours="$ours" -v plain="$plain" -v threaded="$threaded" '
function read_lines(text, into,    line, n, i, f) {
	n = split(text, line, "\n")
	for (i = 2; i <= n; i++) {
		split(line[i], f, " ")
		order[i] = f[1]
		for (j = 4; j <= 8; j++)
			into[f[1], j - 3] = f[j] / f[2]
	}
	return n
}
function row(who, f, task) {
	printf "%-9s %-13s %9.0f %9.0f %9.0f %8.2f (%5.2f)\n", task, who,
		f[task, 1], f[task, 2], f[task, 3], f[task, 4], f[task, 5]
}
function compare(who, a, b, task) {
	row(who, b, task)
	printf "%-9s %-13s %9.3f %9.3f %9.3f %8.3f\n", task, "ratio",
		a[task, 1] / b[task, 1], a[task, 2] / b[task, 2],
		a[task, 3] / b[task, 3], a[task, 4] / b[task, 4]
}
BEGIN {
	n = read_lines(ours, a)
	read_lines(plain, p)
	read_lines(threaded, t)
	printf "\n%-9s %-13s %9s %9s %9s %16s\n", "each", "monitor", "instrs",
		"guest", "monitor", "KVM exits (MMIO)"
	for (i = 2; i <= n; i++) {
		row("belfry", a, order[i])
		if (t[order[i], 1] < p[order[i], 1])
			compare("qemu-iothread", a, t, order[i])
		else
			compare("qemu", a, p, order[i])
	}
}'
