#!/bin/busybox sh
# First process of the test machine (see tests/vm.rs): runs ot-xdp on this kernel and writes what it printed to the
# second serial line, each part between `#begin NAME` and `#end NAME EXIT_CODE`. The first line is the kernel's console.
export PATH=/bin
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t bpf bpf /sys/fs/bpf
stty -F /dev/ttyS1 raw -echo

part() {
    name=$1
    shift
    "$@" >"/$name.out"
    code=$?
    { echo "#begin $name"; cat "/$name.out"; echo "#end $name $code"; } >/dev/ttyS1
}

# A plant of two hosts: this one with the sensor on ot0, and one in a namespace behind the other end, veth0.
network() {
    [ ! -f /veth.ko.xz ] || unxz /veth.ko.xz
    insmod /veth.ko && ip link add ot0 type veth || return
    unshare -n sleep 3600 &
    plc=$!
    # `unshare` needs a moment; until then the link would go to this very namespace.
    while [ "$(readlink /proc/$plc/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.1; done
    ip link set veth0 netns $plc || return
    plc="nsenter -t $plc -n"
    ip addr add 10.9.0.1/24 dev ot0 && ip link set ot0 up || return
    $plc ip addr add 10.9.0.2/24 dev veth0 && $plc ip link set veth0 up || return
    nc -l -p 502 >/dev/null &
}

# Modbus: read ten holding registers from 0, asked by the host behind veth0 while the sensor runs.
live() {
    ot-xdp run --interface ot0 --duration 12s &
    sensor=$!
    tries=0
    until grep -qs "^prog_type" /proc/$sensor/fdinfo/* && ls -l /proc/$sensor/fd | grep -q bpf_link; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] && [ -d /proc/$sensor ] || break
        sleep 0.2
    done
    # By program id, that is in the order of loading.
    for fd in /proc/$sensor/fdinfo/*; do
        awk '/^prog_id/ { id = $2 } /^verified_insns/ { n = $2 } END { if (n) print id, n }' "$fd" 2>/dev/null
    done | sort -n >/instructions
    printf '\000\001\000\000\000\006\001\003\000\000\000\012' | $plc nc -w 2 10.9.0.1 502 >/dev/null
    sleep 0.2
    kill -TERM $sensor
    wait $sensor
}

part kernel uname -r
part network network
part doctor ot-xdp doctor
part live live
part verified cat /instructions
part replay ot-xdp replay --frames --engine kernel /captures.pcap
part tunnels ot-xdp replay --frames --engine kernel --tunnels /tunnels.pcap
poweroff -f
