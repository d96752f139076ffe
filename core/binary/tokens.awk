# Turns tokens.txt into a C header: all words in one block of text, where each
# begins, and an open hash table from word to number.  Number 1..235 is a
# single byte; 236 + 256 * d + i is byte i of dictionary d.  Plain POSIX awk.

BEGIN {
    SLOTS = 4096            # a power of two, three times the words
    for (i = 32; i < 127; i++) {
        ord[sprintf("%c", i)] = i
    }
    n = 0
}

function fail(why) {
    print "tokens.txt:" NR ": " why > "/dev/stderr"
    failed = 1
    exit 1
}

# What token.c computes: h = h * 31 + byte, in 24 bits.
function hash(word,    i, h) {
    h = 0
    for (i = 1; i <= length(word); i++) {
        h = (h * 31 + ord[substr(word, i, 1)]) % 16777216
    }
    return h % SLOTS
}

/^#/ || /^$/ { next }

/^\[/ {
    want = ($1 == "[single]") ? $2 : 236 + 256 * $2
    if (want != n + 1 && !($1 == "[double]" && want == n)) {
        fail("section " $0 " out of place")
    }
    n = want
    next
}

{
    if ($0 ~ /[^!-~]/ || $0 ~ /["\\]/) {
        fail("a word of printable ASCII is expected")
    }
    if ($0 in number) {
        fail("seen before: " $0)
    }
    word[n] = $0
    number[$0] = n
    n++
}

END {
    if (failed) {
        exit 1
    }
    if (n != 236 + 1024) {
        print "tokens.txt: " n " words instead of 1260" > "/dev/stderr"
        exit 1
    }

    print "/* made by core/binary/tokens.awk */"
    print "#define TOKEN_COUNT " n
    print "#define TOKEN_SLOTS " SLOTS

    print "static const char token_text[] ="
    for (i = 1; i < n; i++) {
        print "    \"" word[i] "\""
    }
    print "    ;"

    print "static const uint16_t token_at[TOKEN_COUNT + 1] = {"
    at = 0
    print "    0,"
    for (i = 1; i < n; i++) {
        print "    " at ","
        at += length(word[i])
    }
    print "    " at
    print "};"

    for (i = 1; i < n; i++) {
        h = hash(word[i])
        while (h in slot) {
            h = (h + 1) % SLOTS
        }
        slot[h] = i
    }
    print "static const uint16_t token_slot[TOKEN_SLOTS] = {"
    for (h = 0; h < SLOTS; h++) {
        print "    " ((h in slot) ? slot[h] : 0) ","
    }
    print "};"
}
