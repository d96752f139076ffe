# Migrations as C: one array element per file, one string literal per line.
# Used by the Makefile and by ./configure of nginx; plain awk is enough.

BEGIN {
    print "/* made by core/store/embed.awk from sql/: do not edit */"
    print "static const struct { int num; const char *name; const char *sql; } wagw_migrations[] = {"
}

FNR == 1 {
    if (open) {
        print "    },"
    }
    name = FILENAME
    sub(/^.*\//, "", name)
    if (name !~ /^[0-9][0-9][0-9]-.*\.sql$/) {
        print "embed.awk: " FILENAME ": a migration is named NNN-subject.sql" > "/dev/stderr"
        failed = 1
        exit 1
    }
    if (substr(name, 1, 3) + 0 <= last) {
        print "embed.awk: " FILENAME ": there is a migration of this number, or a later one, already" > "/dev/stderr"
        failed = 1
        exit 1
    }
    last = substr(name, 1, 3) + 0
    printf "    { %d, \"%s\",\n", substr(name, 1, 3) + 0, name
    open = 1
}

{
    gsub(/\\/, "&&")
    gsub(/"/, "\\\"")
    gsub(/\t/, "\\t")
    printf "      \"%s\\n\"\n", $0
}

END {
    if (!failed) {
        if (open) {
            print "    },"
        }
        print "};"
    }
}
