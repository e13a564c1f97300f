# shellcheck shell=bash
# Cargo: programs and files of other people that guests carry, named by a list that is part of the image's stamp. A line
# is KIND, source here and place in the guest, parted by tabs. What a job changes of it is gone before the next.

CARGO=$LAB/cargo
# In a guest: working directory of the jobs (relative paths are kept below it), their output, and what they read.
CARGO_HOME=/home/user
CARGO_OUT=/var/tmp/out
# shellcheck disable=SC2034 # for torture.sh
CARGO_STDIN=/opt/cargo/stdin

# cargo_begin: an empty list; cargo_end: it is the list of the image from now on, unless the present one has all of it.
cargo_begin() {
    mkdir -p "$CARGO"
    : >"$CARGO/wanted"
}

cargo_end() {
    sort -u -o "$CARGO/wanted" "$CARGO/wanted"
    [[ -f $CARGO/list && -z $(comm -23 "$CARGO/wanted" "$CARGO/list") ]] || mv "$CARGO/wanted" "$CARGO/list"
}

# cargo_add KIND SOURCE PLACE: put: as it is; keep: unless guests have something there; modules: of an interpreter; link:
# place is a link to the source.
cargo_add() { printf '%s\t%s\t%s\n' "$@" >>"$CARGO/wanted"; }

# cargo_file FILE: a file or directory that was asked for, at the same place in the guest or below the working directory.
cargo_file() {
    [[ -e $1 ]] || die "torture: no such file: $1"
    cargo_with_libraries put "$1" "$(cargo_place "$1")"
}

cargo_place() {
    local path
    path=$(cargo_plain "$1")
    case $path in
        /dev/* | /proc/* | /sys/* | /run/*) die "torture: $1 cannot be at its place in a guest" ;;
        ../* | ..) die "torture: $1 is not below the working directory (give its absolute path)" ;;
        /*) echo "$path" ;;
        *) echo "$CARGO_HOME/$path" ;;
    esac
}

# Without . and .., but with the links in it as they are.
cargo_plain() {
    if [[ $1 == /* ]]; then realpath -ms "$1"; else realpath -ms --relative-to=. "$1"; fi
}

# cargo_command WORD...: a program, by path or found by its name, and the files that its arguments name. Prints nothing.
cargo_command() {
    local word
    cargo_program "$(cargo_found "$1")"
    shift
    for word; do
        # /tmp, . and the like are places, not files to bring along.
        [[ -f $word && ! -c $word ]] || continue
        [[ $word != /* || $word == */*/* ]] || continue
        if [[ -x $word ]]; then cargo_program "$word"; else cargo_add keep "$(realpath -s "$word")" "$(cargo_place "$word")"; fi
    done
}

# Where the shell would find a command. What only guests have is for them to find.
cargo_found() {
    local path
    if [[ $1 == */* ]]; then
        echo "$1"
    else
        path=$(type -P "$1") || path=$1
        # There may be a script of the same name that only chooses one.
        [[ $1 != python* ]] || path=$("$path" -c 'import sys; print(sys.executable)') || die "torture: $path does not run"
        echo "$path"
    fi
}

# cargo_program PATH: with libraries, and the interpreter of a script with its own.
cargo_program() {
    local path=$1 place first interpreter found
    if [[ ! -e $path ]]; then
        # One that guests have of themselves, as those in /opt/grl.
        [[ -e $IMAGE/base$path || $path == /opt/grl/* ]] || die "torture: no such program: $path"
        return
    fi
    [[ -x $path && -f $path ]] || die "torture: not a program: $path"
    place=$(cargo_place "$path")
    # Libtool's wrapper is good for the build directory alone.
    if [[ -x ${path%/*}/.libs/${path##*/} ]] && grep -q 'temporary wrapper script' "$path"; then
        path=${path%/*}/.libs/${path##*/}
    fi
    cargo_with_libraries keep "$path" "$place"
    IFS= read -r first < <(tr -d '\0' 2>/dev/null <"$path" | head -c 256) || true
    if [[ $first == '#!'* ]]; then
        read -r interpreter first <<<"${first#\#!}"
        [[ ${interpreter##*/} != env ]] || read -r interpreter _ <<<"${first#-S }"
        found=$(cargo_found "$interpreter")
        cargo_program "$found"
        # Where env looks for it.
        [[ $interpreter == */* || $found == @(/usr|)/bin/* ]] || cargo_add link "$found" "/usr/local/bin/$interpreter"
    else
        cargo_modules "$path"
    fi
}

# What an interpreter loads without being told.
cargo_modules() {
    local directory
    # shellcheck disable=SC2016 # Perl's variable
    case ${1##*/} in
        python*) set -- "$1" -c 'import sysconfig as s; print(s.get_path("stdlib"))' ;;
        perl*) set -- "$1" -e '-d && print "$_\n" for @INC' ;;
        *) return 0 ;;
    esac
    while read -r directory; do
        directory=$(realpath -s "$directory")
        cargo_with_libraries modules "$directory" "$directory"
    done < <("$@")
}

# cargo_with_libraries KIND SOURCE PLACE: and all libraries that its programs and libraries load.
cargo_with_libraries() {
    local found missing library
    cargo_add "$1" "$(realpath -s "$2")" "$3"
    found=$(find -H "$2" -type f \( -perm /111 -o -name '*.so' -o -name '*.so.*' \) -print0 | xargs -0r ldd 2>/dev/null || true)
    missing=$(grep -o '[^[:space:]]* => not found' <<<"$found" | sort -u | paste -sd ' ' || true)
    if [[ -n $missing ]]; then
        [[ $1 == modules ]] || die "torture: $2: libraries are missing here: $missing (is LD_LIBRARY_PATH set?)"
    fi
    while read -r library; do
        cargo_add keep "$library" "$library"
    done < <(sed -n -e 's/.*=> \(\/[^ ]*\) .*/\1/p' -e 's/^\t\(\/[^ ]*\) .*/\1/p' <<<"$found" | sort -u)
}

# For the image: sizes and times, as contents may be large.
cargo_stamp() {
    [[ -f $CARGO/list ]] || return 0
    local kind source place
    while IFS=$'\t' read -r kind source place; do
        [[ -e $source ]] || continue
        printf '%s %s %s\n' "$kind" "$source" "$place"
        find -H "$source" -printf '%P %s %T@ %m %l\n' | sort
    done <"$CARGO/list"
}

# cargo_load ROOT: into the guests' root directory, for all users to read, and to write as far as their owner may.
cargo_load() {
    local root=$1 kind source place target
    mkdir -p "$root$CARGO_HOME" "$root/opt/cargo"
    echo "$CARGO_HOME" >"$root/opt/cargo/directories"
    [[ ! -f $CARGO/list ]] || while IFS=$'\t' read -r kind source place; do
        [[ -e $source ]] || { say "image: $source is gone: left out"; continue; }
        case $place in
            /bin/* | /sbin/* | /lib/* | /lib64/*) place=/usr$place ;;
        esac
        target=$root$place
        [[ $kind == put || ! -e $target || -d $target ]] || continue
        (umask 022 && mkdir -p "$(dirname "$target")")
        if [[ $kind == link ]]; then
            ln -s "$source" "$target"
            continue
        elif [[ -d $source ]]; then
            mkdir -p "$target"
            if [[ $kind == modules ]]; then
                tar -C "$source" -c --exclude=./site-packages --exclude=./dist-packages --exclude=./test . | tar -C "$target" -x
            else
                cp -RP --preserve=mode,timestamps,links "$source/." "$target/"
                [[ $place == "$CARGO_HOME"/* ]] || echo "$place" >>"$root/opt/cargo/directories"
            fi
        else
            rm -f "$target"
            cp -L --preserve=mode,timestamps "$source" "$target"
        fi
        chown -R 0:0 "$target"
        chmod -R go=u "$target"
    done <"$CARGO/list"
    chmod 777 "$root$CARGO_HOME"
}

# Every guest's cargo as it is in the image, and nothing left of the last job.
cargo_fresh() {
    local guest
    for guest in "${GUESTS[@]}"; do
        guest_sh "$guest" guest-fresh "$CARGO_OUT" || die "torture: $guest cannot make its files afresh"
    done
}
