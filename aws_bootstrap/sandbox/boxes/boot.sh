#!/bin/bash
# Becomes process 1 of a box: run by isolation.py in fresh mount, process, network and host-name namespaces.
#   boot.sh TREE VOLUMES PYTHON_PREFIX HOST_NAME PYTHON
# SANDBOX_METADATA is the number of the descriptor over which the sandbox gets the socket of the instance metadata.
# The machine's programs are mounted read-only; everything writable is the box's own tree.
set -eu
# The real programs: the box's fakes are in /usr/local.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
tree=$1 volumes=$2 python_prefix=$3 host_name=$4 python=$5

# The machine's /proc still shows this shell with its pid outside the new namespace.
read -r own_pid _ </proc/self/stat

bind_read_only() { # bind_read_only SOURCE TARGET: mount a folder of the machine read-only in the box
    mkdir -p "$tree$2"
    mount --bind "$1" "$tree$2"
    mount -o remount,bind,ro "$tree$2"
}

mount --bind "$tree" "$tree"
for name in bin sbin lib lib32 lib64 libx32 usr nix; do
    if [ -L "/$name" ]; then
        [ -L "$tree/$name" ] || ln -s "$(readlink "/$name")" "$tree/$name"
    elif [ -d "/$name" ]; then
        bind_read_only "/$name" "/$name"
    fi
done
mount --bind "$tree/.local" "$tree/usr/local"
for name in ssl alternatives ld.so.conf.d ca-certificates; do
    [ ! -d "/etc/$name" ] || bind_read_only "/etc/$name" "/etc/$name"
done
case $python_prefix in
    /usr | /usr/*) ;;
    *) bind_read_only "$python_prefix" "$python_prefix" ;;
esac
mkdir -p "$tree/run/sandbox/volumes"
mount --bind "$volumes" "$tree/run/sandbox/volumes"

mkdir -p "$tree/proc" "$tree/sys" "$tree/dev"
mount -t proc proc "$tree/proc"
mount -t tmpfs -o mode=755 tmpfs "$tree/dev"
for name in null zero full random urandom tty; do
    : >"$tree/dev/$name"
    mount --bind "/dev/$name" "$tree/dev/$name"
done
mkdir "$tree/dev/pts" "$tree/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$tree/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$tree/dev/shm"
ln -s pts/ptmx "$tree/dev/ptmx"
ln -s /proc/self/fd "$tree/dev/fd"
ln -s /proc/self/fd/0 "$tree/dev/stdin"
ln -s /proc/self/fd/1 "$tree/dev/stdout"
ln -s /proc/self/fd/2 "$tree/dev/stderr"
ln -s /run/sandbox/console "$tree/dev/console"

hostname "$host_name"
# Set the loopback up, the only interface that exists (netdevice(7): SIOCSIFFLAGS with IFF_UP), and give it the address
# of the instance metadata (SIOCSIFADDR). The sandbox serves it: the listening socket is sent there.
"$python" -ISc 'import fcntl, socket, struct, sys
control, line = socket.socket(), socket.socket(fileno=int(sys.argv[1]))
fcntl.ioctl(control, 0x8914, struct.pack("16sh22x", b"lo", 1))
try:
    address = struct.pack("16sHH4s16x", b"lo:1", socket.AF_INET, 0, socket.inet_aton("169.254.169.254"))
    fcntl.ioctl(control, 0x8916, address)
    listening = socket.create_server(("169.254.169.254", 80))
    socket.send_fds(line, [b"ok"], [listening.fileno()])
except OSError as error:
    line.send(str(error).encode())' "$SANDBOX_METADATA"
eval "exec $SANDBOX_METADATA>&-"
unset SANDBOX_METADATA
mkdir -p "$tree/.machine"
cd "$tree"
pivot_root . .machine
umount -l /.machine
rmdir /.machine
cd /
# From here on the machine's other files do not exist. Wait for the end of the input, which comes when the sandbox
# ends, even by SIGKILL: with process 1 every process of the box ends. Bash reaps orphans meanwhile.
exec /bin/bash -c 'echo "ready $1"; while read -r _; do :; done' box "$own_pid"
