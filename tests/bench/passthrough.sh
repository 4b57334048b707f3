# shellcheck shell=bash disable=SC2154
#
# Functions of the host's that are the lean guest's, behind an SMMU of its own,
# beside QEMU's (accel=on). QEMU's takes ACPI, and with it firmware to boot by;
# Belfry's a device tree. Sourced by run.
#
#	ring		an interrupt that the guest has an igb send
#	ring-gicv4	likewise, on a host whose GICv4 needs nobody for it
#	strict-4k	reading 4 KiB of an NVMe disk, one at a time: unmapped at
#			once (iommu.strict=1), and an interrupt
#	strict-2m	2 MiB, which its driver asks for in pieces, each of which
#			is unmapped page by page
#	lazy-4k, -2m	likewise, where it may be later (iommu.strict=0)
#	strict-lazy	how much more strict-4k takes: unmapping it
#	unmap-4k	unmapping 4 KiB, and nothing else, by the guest's iommufd
#	unmap-2m	2 MiB at once, page by page
#
# "CMDQ_PROD" is how often the guest wrote there, "ioctls" how many
# IOMMU_HWPT_INVALIDATE the monitor made of that. Then the boot, from exec to the
# init of a guest that has the NVMe disk, and to the answer of the first ping of
# one that has the igb, for which its driver waits long, which takes time but no
# instructions; and memory outside of the latter guest's. Figures of the disk
# vary by some percent, as it answers in a time of its own.
#
# QEMU's guests cannot have what iommufd is to unmap: their firmware asks for a
# region that is mapped as it is (RMR), for interrupts, and Linux lends nothing
# that has one.

firmware=/usr/share/qemu-efi-aarch64/QEMU_EFI.fd

# board OPTION...: a host with passengers that are ready. Sets igb and nvme.
board()
{
	local places card

	host --kernel nested --memory 3G --device igb=wire --device nvme "$@"
	put_qemu
	put "$firmware" firmware
	put tests/boot/driver driver
	put tests/boot/passengers passengers
	no_polling
	places=$(in_lab env PATH=/tmp:/bin:/sbin passengers)
	igb=$(sed -n 's/^IGB=//p' <<<"$places")
	nvme=$(sed -n 's/^NVME=//p' <<<"$places")
	card=$(sed -n 's/^WIRE=//p' <<<"$places")
	in_lab ip addr add 192.0.2.1/24 dev "$card"
	in_lab ip link set "$card" up
}

# monitor WHO PLACE: sets "command", which runs a guest that has that function.
monitor()
{
	case $1 in
	belfry)
		command=("${belfry[@]}" --vfio "$2") ;;
	qemu)
		command=("${qemu[@]}" -bios /tmp/firmware
			-object iommufd,id=i
			-device arm-smmuv3,primary-bus=pcie.0,id=s,accel=on
			-device pcie-root-port,bus=pcie.0,id=rp,chassis=1
			-device "vfio-pci,host=$2,bus=rp,iommufd=i") ;;
	esac
}

# counted CASE WORDS PLACE [WHO...]: what measure says of the tasks of both
# monitors' guests, or of these, which are told WORDS, behind "WHO CASE KIND".
counted()
{
	local case=$1 words=$2 place=$3 who command kind

	shift 3
	(($#)) || set -- belfry qemu
	for who in "$@"; do
		for kind in tasks smmu; do
			monitor $who "$place"
			say "measuring $who, $case ($kind)"
			guest "$words" /tmp/measure $kind "${command[@]}" |
				sed "s/^/$who $case $kind /"
		done
	done
}

# booted: "WHO BYTES", and in front of each line of the guest's "WHO NANOSECONDS
# INSTRUCTIONS".
booted()
{
	local who command

	for who in belfry qemu; do
		say "measuring the boot by $who"
		monitor $who "$igb"
		# The first one fills the page cache.
		guest belfry.test=ping,1 /tmp/measure memory \
			$((memory << 20)) "${command[@]}" | sed "s/^/$who /"
		guest belfry.test=ping,1 /tmp/measure lines \
			"${command[@]}" | sed "s/^/$who /"
		monitor $who "$nvme"
		guest belfry.test=hello /tmp/measure lines \
			"${command[@]}" | sed "s/^/$who /"
	done
}

reads='belfry.test=tasks,read-1,read-2m belfry.disk=nvme0n1'
rings='belfry.test=ring iomem=relaxed'
board
booted >"$tmp/booted"
{
	counted ring "$rings" "$igb"
	counted strict "$reads iommu.strict=1" "$nvme"
	counted lazy "$reads iommu.strict=0" "$nvme"
	counted unmap belfry.test=unmaps "$igb" belfry
	board --gic 4 --append kvm-arm.vgic_v4_enable=1
	counted gicv4 "$rings" "$igb"
} >"$tmp/counted"
awk -f tests/bench/passthrough.awk "$tmp/counted" "$tmp/booted"
