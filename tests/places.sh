# Where the programs of the tests are and what they write goes; read by the scripts beside this file.

# Debian's packages, unpacked, and a starter for each of their programs in starters/.
programs=$PWD/target/programs
# A PostgreSQL server's socket is in such a directory, and its path must stay below 107 bytes.
directory_bytes_max=68

# Root's server runs as another user, who cannot enter every directory that root can.
is_reachable() {
    local dir
    dir=$(realpath "$1")
    while [[ $EUID -eq 0 && $dir != / ]]; do
        (("0$(stat -c %a "$dir")" & 1)) || return 1
        dir=$(dirname "$dir")
    done
}

free_mb() {
    df -Pm "$1" | awk 'NR == 2 { print $4 }'
}
