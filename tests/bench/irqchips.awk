# Prints what irqchips.sh has measured. The input are lines of "CHIP TASK COUNT
# INTERRUPTS FIGURE...", from `measure tasks` and then from `measure calls`, with
# those that name the figures. `without` and `with` are how many commands a split
# ITS had, and in how many batches, without probes and with some.

BEGIN {
	tasks = split("read-1 write-1 probe", task, " ")
	chips = split("kernel split user", chip, " ")
}
$2 == "task" {
	for (i = 5; i <= NF; i++)
		name[i] = $i
	names = NF
	next
}
{
	irqs[$2, $1] = $4 / $3
	for (i = 5; i <= NF; i++)
		each[$2, $1, name[i]] = $i / ($2 == "probe" ? $3 : $4)
}

function cost(t, c) {
	printf "%-9s %-13s %9.0f %9.0f %9.0f %8.2f (%5.2f)", t, c,
		each[t, c, "whole"], each[t, c, "guest"], each[t, c, "monitor"],
		each[t, c, "exits"], each[t, c, "mmio"]
	printf t == "probe" ? "\n" : " %7.3f\n", irqs[t, c]
}
function ratio(t, c, figure) {
	return each[t, c, figure] / each[t, "kernel", figure]
}
function ratios(t, c) {
	printf "%-9s %-13s %9.3f %9.3f %9.3f %8.3f\n", t, "ratio",
		ratio(t, c, "whole"), ratio(t, c, "guest"),
		ratio(t, c, "monitor"), ratio(t, c, "exits")
}
function print_costs(    t, c) {
	printf "\n%-9s %-13s %9s %9s %9s %16s %7s\n", "each", "irqchip",
		"instrs", "guest", "monitor", "KVM exits (MMIO)", "irqs"
	for (t = 1; t <= tasks; t++)
		for (c = 1; c <= chips; c++) {
			cost(task[t], chip[c])
			if (c > 1)
				ratios(task[t], chip[c])
		}
}
# The kernel's ITS is written to but once for a batch of commands.
function print_batches(    a, b, batches, more) {
	split(without, a, " ")
	split(with, b, " ")
	batches = each["probe", "split", "KVM_SET_DEVICE_ATTR"]
	more = each["probe", "split", "whole"] - each["probe", "kernel", "whole"]
	printf "\nsplit: %.2f batches a probe, with %.2f commands each, cost %.0f instructions each\n",
		batches, (b[1] - a[1]) / (b[2] - a[2]), more / batches
}
function call(i, t, c) {
	return each[task[t], chip[c], name[i]]
}
function print_call(i,    t, c, any) {
	for (t = 1; t <= tasks; t++)
		for (c = 1; c <= chips; c++)
			any = any || call(i, t, c)
	if (!any)
		return
	printf "%-20s", name[i]
	for (t = 1; t <= tasks; t++)
		for (c = 1; c <= chips; c++)
			printf " %7.2f", call(i, t, c)
	printf "\n"
}
function print_calls(    i, t, c) {
	printf "\n%-20s", "each"
	for (t = 1; t <= tasks; t++)
		printf "%*s", 8 * chips, task[t]
	printf "\n%-20s", ""
	for (t = 1; t <= tasks; t++)
		for (c = 1; c <= chips; c++)
			printf " %7s", chip[c]
	printf "\n"
	for (i = 5; i <= names; i++)
		print_call(i)
}
END {
	print_costs()
	print_batches()
	print_calls()
}
