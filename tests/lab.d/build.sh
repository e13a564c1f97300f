# shellcheck shell=bash
# Builds the project out of tree and installs it into the stage directory.

# GCC spends a tenth of its time on collecting memory that this machine has.
COMPILER_MEMORY="--param ggc-min-expand=400 --param ggc-min-heapsize=1000000"

build() {
    deps
    [[ -f $SOURCE/configure.ac ]] || die "build: $SOURCE/configure.ac is missing"
    mkdir -p "$BUILD"
    local log=$LAB/build.log
    : >"$log"
    build_step "$log" build_configure
    # By itself: config.status calls a make that cannot get at a job server.
    build_step "$log" make -C "$BUILD" Makefile
    build_step "$log" make -C "$BUILD" -j "$(nproc)"
    build_step "$log" build_guest_programs
    rm -rf "$STAGE"
    build_step "$log" make -C "$BUILD" install DESTDIR="$STAGE"
}

# build_step LOG CMD...: the output is of interest only when it fails.
build_step() {
    local log=$1
    shift
    if ! "$@" >>"$log" 2>&1; then
        tail -n 30 "$log" >&2
        die "build: '$*' failed (all of it in $log)"
    fi
}

build_configure() {
    # After the first time, make itself sees what has to be generated again.
    [[ -x $SOURCE/configure ]] || (cd "$SOURCE" && autoreconf -fi) || return 1
    # Of another clone: its sources would be built.
    if [[ -f $BUILD/Makefile ]]; then
        [[ $(sed -n 's/^abs_srcdir = //p' "$BUILD/Makefile") != "$SOURCE" ]] || return 0
        rm -rf "$BUILD" && mkdir -p "$BUILD"
    fi
    (cd "$BUILD" && "$SOURCE/configure" --prefix=/usr --sysconfdir=/etc --localstatedir=/var CFLAGS=-O2 \
        CXXFLAGS="-O1 $COMPILER_MEMORY" --libdir="$LIBDIR" --libexecdir=/usr/libexec)
}

# Names, relative to the build directory, of the programs that guests carry in /opt/grl.
guest_programs() {
    local list=$SOURCE/tests/lab.d/guest_programs
    [[ ! -f $list ]] || sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$list"
}

build_guest_programs() {
    local programs
    mapfile -t programs < <(guest_programs)
    ((${#programs[@]} == 0)) || make -C "$BUILD" "${programs[@]}"
}
