# Pages as C strings: one array per file, named after it.  Used by ./configure.

BEGIN {
    print "/* made by ngx_wagw/pages/embed.awk from ngx_wagw/pages/: do not edit */"
}

FNR == 1 {
    if (open) {
        print "    ;"
    }
    name = FILENAME
    sub(/^.*\//, "", name)
    gsub(/[^a-z0-9]/, "_", name)
    printf "static const char ngx_wagw_page_%s[] =\n", name
    open = 1
}

{
    gsub(/\\/, "&&")
    gsub(/"/, "\\\"")
    gsub(/\t/, "\\t")
    printf "    \"%s\\n\"\n", $0
}

END {
    if (open) {
        print "    ;"
    }
}
