# shellcheck shell=bash disable=SC2154
#
# The three interrupt controllers beside each other, with the lean guest and a
# disk: what an interrupt costs that ends a read or a write of 4 KiB, one at a
# time, and what it costs to take the driver from the disk and give it back; then
# what the monitor and KVM say to each other meanwhile. Sourced by run.
#
# Reads and writes are divided by the interrupts that the guest has seen; "irqs"
# is how many of them an operation had. Where the ITS is split, the kernel's is
# told of changes in batches, for each of which the vCPUs stop once; all that a
# probe costs more than with "kernel" is put down to them.

# lean tasks|calls LIST CHIP: what measure says of the guest that has it.
lean()
{
	tasks "$2" /tmp/measure "$1" "${belfry[@]}" --drive path=/tmp/image \
		--json-status --irqchip "$3"
}

# its_told: the commands and batches that the last guest's split ITS had in all.
its_told()
{
	sed -n 's/.*"its_commands":\([0-9]*\),"its_batches":\([0-9]*\).*/\1 \2/p' \
		"$log"
}

host --kernel newest
no_polling
for kind in tasks calls; do
	for chip in kernel user split; do
		say "measuring $kind with irqchip \"$chip\""
		lean $kind read-1,write-1,probe $chip | sed "s/^/$chip /"
	done >"$tmp/$kind"
done
with=$(its_told)
lean calls nothing split >/dev/null
without=$(its_told)
awk -v with="$with" -v without="$without" -f tests/bench/irqchips.awk \
	"$tmp/tasks" "$tmp/calls"
