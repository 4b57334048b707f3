# Prints what passthrough.sh has measured. The input are lines of "MONITOR CASE
# KIND TASK COUNT INTERRUPTS FIGURE...", with those that name the figures; and
# then of "MONITOR BYTES" and "MONITOR NANOSECONDS INSTRUCTIONS LINE".

BEGIN {
	rows = split("ring ring-gicv4 strict-4k strict-2m lazy-4k lazy-2m strict-lazy unmap-4k unmap-2m", row, " ")
	figures = split("whole guest rest monitor exits mmio prod invalidate", figure, " ")
	called["ring", "ring"] = "ring"
	called["gicv4", "ring"] = "ring-gicv4"
	called["strict", "read-1"] = "strict-4k"
	called["strict", "read-2m"] = "strict-2m"
	called["lazy", "read-1"] = "lazy-4k"
	called["lazy", "read-2m"] = "lazy-2m"
	called["unmap", "unmap-4k"] = "unmap-4k"
	called["unmap", "unmap-2m"] = "unmap-2m"
}
FILENAME ~ /booted$/ {
	if (NF == 2)
		outside[$1] = $2
	if (/hello from the guest/) {
		init[$1] = $2
		init_work[$1] = $3
	}
	if (/ping: 1 of 1 answered/) {
		ping[$1] = $2
		ping_work[$1] = $3
	}
	next
}
$4 == "task" {
	for (i = 7; i <= NF; i++)
		name[$3, i] = $i
	next
}
# An interrupt is one that the guest has seen.
{
	for (i = 7; i <= NF; i++)
		each[called[$2, $4], $1, name[$3, i]] = $i / ($4 == "ring" ? $6 : $5)
	rest(called[$2, $4], $1)
}

# What the guest executes is its own, and depends on when its disk answers.
function rest(r, who) {
	if ((r, who, "whole") in each && (r, who, "guest") in each)
		each[r, who, "rest"] = each[r, who, "whole"] - each[r, who, "guest"]
}
function subtract(r, a, b, who,    i) {
	for (i = 1; i <= figures; i++)
		each[r, who, figure[i]] = each[a, who, figure[i]] - each[b, who, figure[i]]
}
function form(i) {
	if (figure[i] == "mmio")
		return " (%7.3f)"
	return i <= 4 ? " %9.0f" : " %9.3f"
}
function print_figures(r, who,    i) {
	printf "%-11s %-7s", r, who
	for (i = 1; i <= figures; i++)
		if ((r, who, figure[i]) in each)
			printf form(i), each[r, who, figure[i]]
		else
			printf " %9s", "-"
	printf "\n"
}
function over(ours, theirs) {
	return theirs > 0 ? sprintf("%.3f", ours / theirs) : "-"
}
function print_ratios(r,    i) {
	printf "%-11s %-7s", r, "ratio"
	for (i = 1; i <= figures; i++)
		printf " %9s", over(each[r, "belfry", figure[i]],
			each[r, "qemu", figure[i]])
	printf "\n"
}
function print_boot(who) {
	printf "%-7s %8.1f (%7.1f) %8.1f (%7.1f) %18.2f\n", who,
		init[who] / 1e6, init_work[who] / 1e6,
		ping[who] / 1e6, ping_work[who] / 1e6, outside[who] / 1e6
}
END {
	subtract("strict-lazy", "strict-4k", "lazy-4k", "belfry")
	subtract("strict-lazy", "strict-4k", "lazy-4k", "qemu")
	printf "\nOf each interrupt (ring), of reading 4 KiB or 2 MiB (strict, lazy), of each\n"
	printf "unmapping (strict-lazy: what it adds to a read; unmap: alone). \"instrs\" are the\n"
	printf "whole machine's, \"rest\" those that are not the guest's own, so host and monitor;\n"
	printf "\"monitor\" what it executes itself. QEMU's guests, which have an RMR, cannot have\n"
	printf "iommufd to unmap by.\n"
	printf "\n%-11s %-7s %9s %9s %9s %9s %19s %9s %9s\n", "each", "monitor",
		"instrs", "guest", "rest", "monitor", "KVM exits (MMIO)", "CMDQ_PROD",
		"ioctls"
	for (i = 1; i <= rows; i++) {
		print_figures(row[i], "belfry")
		print_figures(row[i], "qemu")
		print_ratios(row[i])
	}
	printf "\nOf a boot; to the ping, most time is the igb's until its link is up, in which\n"
	printf "nobody executes anything.\n"
	printf "\n%-7s %18s %18s %18s\n", "monitor", "exec->init, ms",
		"exec->ping, ms", "memory outside, MB"
	printf "%-7s %18s %18s\n", "", "(10^6 instrs)", "(10^6 instrs)"
	print_boot("belfry")
	print_boot("qemu")
	printf "%-7s %8s (%7s) %8s (%7s) %18s\n", "ratio",
		over(init["belfry"], init["qemu"]),
		over(init_work["belfry"], init_work["qemu"]),
		over(ping["belfry"], ping["qemu"]),
		over(ping_work["belfry"], ping_work["qemu"]),
		over(outside["belfry"], outside["qemu"])
}
