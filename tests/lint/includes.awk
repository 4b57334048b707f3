# usage: awk -f includes.awk modules file...
# Fails on an #include that the modules table does not allow, on a file or a
# header nobody owns, and on a line of the table that uses one below it.

function fail(msg)
{
	printf "%s:%d: %s\n", FILENAME, FNR, msg
	bad = 1
}

# The modules table: fills owner[path prefix], uses[module], confined[header].
NR == FNR {
	if (/^#/ || NF < 3)
		next
	if ($1 == "@") {
		confined[$2] = "," $3 ","
		next
	}
	n = split($2, part, ",")
	for (i = 1; i <= n; i++)
		owner[part[i]] = $1
	n = split($3, part, ",")
	for (i = 1; i <= n; i++)
		owner["include/belfry/" part[i]] = $1
	n = split($4, part, ",")
	for (i = 1; i <= n; i++)
		if (part[i] != "-" && !(part[i] in uses))
			fail($1 " uses " part[i] ", which is not above it")
	uses[$1] = "," $4 ","
	next
}

# The owner of a file is the longest prefix that fits.
FNR == 1 {
	me = ""
	longest = 0
	for (prefix in owner)
		if (index(FILENAME, prefix) == 1 && length(prefix) > longest) {
			me = owner[prefix]
			longest = length(prefix)
		}
	if (me == "")
		fail("belongs to no module in the table")
}

/^[ \t]*#[ \t]*include[ \t]*[<"]/ {
	header = $0
	sub(/^[^<"]*[<"]/, "", header)
	sub(/[>"].*/, "", header)
	if (header ~ /\.\.\//)
		fail("\"../\" in an include")
	if ((header in confined) && !index(confined[header], "," me ","))
		fail(me " may not include <" header ">")
	if (header !~ /^belfry\//)
		next
	to = owner["include/" header]
	if (to == "")
		fail("<" header "> belongs to no module in the table")
	else if (to != me && !index(uses[me], "," to ","))
		fail(me " may not use " to)
}

END { exit bad }
