//! Kernel modules, parameters, swap and mounts.

use super::{Cx, Status};
use crate::host::boot::sysctl_lines;
use crate::host::sysctl::dotted;

pub(super) fn dispatch(tool: &str, cx: &mut Cx<'_>) -> Option<Status> {
    Some(match tool {
        "modprobe" => modprobe(cx),
        "modinfo" => modinfo(cx),
        "rmmod" => {
            let args = cx.args.to_vec();
            cx.host_mut(|h, _| args.iter().for_each(|m| _ = h.modules.remove(m)));
            Ok(0)
        }
        "lsmod" => {
            let modules = cx.host(|h, _| h.modules.clone());
            let rows: String = modules.iter().map(|m| format!("{m:<22} 16384  0\n")).collect();
            cx.out(format!("Module                  Size  Used by\n{rows}"));
            Ok(0)
        }
        "sysctl" => sysctl(cx),
        "swapon" => swapon(cx),
        "swapoff" => swapoff(cx),
        "mount" | "umount" => mount(cx),
        "mountpoint" => {
            let path = cx.args.iter().find(|a| !a.starts_with('-')).cloned().unwrap_or_default();
            let is = ["/", "/proc", "/sys", "/dev", "/run", "/tmp"].contains(&path.as_str());
            Ok(i32::from(!is))
        }
        "findmnt" => Ok(1),
        "dmesg" => {
            cx.out("[    0.000000] Linux version 6.1.0-simulated (grappe)\n");
            Ok(0)
        }
        "lsblk" => {
            cx.out("NAME   MAJ:MIN RM SIZE RO TYPE MOUNTPOINTS\nvda    254:0    0  20G  0 disk\n`-vda1 254:1    0  20G  0 part /\n");
            Ok(0)
        }
        _ => return None,
    })
}

fn modprobe(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("ranqvf", &["all", "remove", "quiet", "dry-run", "first-time", "show-depends"])?;
    if !cx.root() {
        let name = opts.rest.first().cloned().unwrap_or_default();
        return Err(cx.fail(1, format!("ERROR: could not insert '{name}': Operation not permitted")));
    }
    let names =
        if opts.has(&["a", "all"]) { opts.rest.clone() } else { opts.rest.iter().take(1).cloned().collect() };
    let mut status = 0;
    for name in names {
        if opts.has(&["r", "remove"]) {
            cx.host_mut(|h, _| h.modules.remove(&name));
            continue;
        }
        let known = if opts.has(&["n", "dry-run"]) {
            cx.host(|h, _| h.clone().modprobe(&name))
        } else {
            cx.host_mut(|h, _| h.modprobe(&name))
        };
        if !known {
            if !opts.has(&["q", "quiet"]) {
                cx.fail(
                    1,
                    format!("FATAL: Module {name} not found in directory /lib/modules/6.1.0-simulated"),
                );
            }
            status = 1;
        }
    }
    Ok(status)
}

fn modinfo(cx: &mut Cx<'_>) -> Status {
    let Some(name) = cx.args.last().cloned() else {
        return Err(cx.fail(1, "ERROR: missing module or filename."));
    };
    if !cx.host(|h, _| h.clone().modprobe(&name)) {
        return Err(cx.fail(1, format!("ERROR: Module {name} not found.")));
    }
    cx.out(format!(
        "filename:       /lib/modules/6.1.0-simulated/kernel/{name}.ko\nname:           {name}\n"
    ));
    Ok(0)
}

fn sysctl(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts(
        "wnqepaNfr:",
        &["system", "write", "values", "quiet", "ignore", "load?", "all", "names", "pattern="],
    )?;
    let quiet = opts.has(&["q", "quiet"]);
    let ignore = opts.has(&["e", "ignore"]);
    let values_only = opts.has(&["n", "values"]);
    let mut status = 0;
    let mut settings: Vec<(String, String)> = Vec::new();
    let mut loads = false;
    if opts.has(&["system"]) {
        loads = true;
        for (path, text) in cx.host(|h, _| h.sysctl_files()) {
            if !quiet {
                cx.out(format!("* Applying {path} ...\n"));
            }
            settings.extend(sysctl_lines(&text));
        }
    }
    if opts.has(&["p", "load", "f"]) {
        loads = true;
        let mut files = opts.rest.clone();
        files.extend(opts.value(&["load"]).map(str::to_owned));
        if files.is_empty() {
            files.push("/etc/sysctl.conf".to_owned());
        }
        for file in files {
            match cx.read(&file) {
                Ok(bytes) => settings.extend(sysctl_lines(&String::from_utf8_lossy(&bytes))),
                Err(e) => status = cx.fail(255, format!("cannot open \"{file}\": {e}")),
            }
        }
    }
    if opts.has(&["a", "all"]) {
        let text = cx.host(|h, _| {
            let names = h.sysctl_names();
            names.iter().map(|n| format!("{n} = {}\n", h.sysctl(n).unwrap_or_default())).collect::<String>()
        });
        cx.out(text);
        return Ok(0);
    }
    if !loads {
        for arg in &opts.rest {
            if let Some((name, value)) = arg.split_once('=') {
                settings.push((dotted(name.trim()), value.trim().to_owned()));
                continue;
            }
            let name = dotted(arg);
            match cx.host(|h, _| h.sysctl(&name)) {
                Some(value) if values_only => {
                    cx.out(format!("{value}\n"));
                }
                Some(value) => {
                    cx.out(format!("{name} = {value}\n"));
                }
                None => {
                    if !ignore {
                        cx.fail(
                            255,
                            format!(
                                "cannot stat /proc/sys/{}: No such file or directory",
                                name.replace('.', "/")
                            ),
                        );
                        status = 255;
                    }
                }
            }
        }
    }
    for (name, value) in settings {
        if !cx.root() {
            status = cx.fail(255, format!("permission denied on key \"{name}\""));
            continue;
        }
        if cx.host_mut(|h, _| h.set_sysctl(&name, &value)) {
            if !quiet {
                cx.out(if values_only { format!("{value}\n") } else { format!("{name} = {value}\n") });
            }
        } else if !ignore {
            cx.fail(
                255,
                format!("cannot stat /proc/sys/{}: No such file or directory", name.replace('.', "/")),
            );
            status = 255;
        }
    }
    Ok(status)
}

fn swapon(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("asp:v", &["show?", "noheadings", "raw", "bytes", "all", "summary"])?;
    if opts.has(&["a", "all"]) {
        if !cx.root() {
            return Err(cx.fail(1, "/swapfile: swapon failed: Operation not permitted"));
        }
        cx.host_mut(|h, _| h.swap = h.fstab_swap());
        return Ok(0);
    }
    if let Some(device) = opts.rest.first() {
        let known = cx.host(|h, _| h.files.exists(device));
        if !known {
            return Err(cx.fail(255, format!("cannot open {device}: No such file or directory")));
        }
        cx.host_mut(|h, _| h.swap = true);
        return Ok(0);
    }
    if cx.host(|h, _| h.swap) {
        let only_names = opts.value(&["show"]).is_some_and(|c| c.eq_ignore_ascii_case("name"));
        if !opts.has(&["noheadings"]) {
            cx.out(if only_names { "NAME\n" } else { "NAME      TYPE  SIZE USED PRIO\n" });
        }
        cx.out(if only_names { "/swapfile\n" } else { "/swapfile file 1024M   0B   -2\n" });
    }
    Ok(0)
}

fn swapoff(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("av", &["all", "verbose"])?;
    if !cx.root() {
        return Err(cx.fail(
            if opts.has(&["a"]) { 2 } else { 255 },
            "/swapfile: swapoff failed: Operation not permitted",
        ));
    }
    if opts.has(&["a", "all"]) || opts.rest.iter().any(|d| d == "/swapfile") {
        cx.host_mut(|h, now| {
            h.swap = false;
            h.retry_kubelet(now * 1000);
        });
        return Ok(0);
    }
    Err(cx.fail(
        255,
        format!("{}: swapoff failed: Invalid argument", opts.rest.first().cloned().unwrap_or_default()),
    ))
}

fn mount(cx: &mut Cx<'_>) -> Status {
    if cx.args.is_empty() {
        cx.out("/dev/vda1 on / type ext4 (rw,relatime)\nproc on /proc type proc (rw)\nsysfs on /sys type sysfs (rw)\ncgroup2 on /sys/fs/cgroup type cgroup2 (rw)\n");
        return Ok(0);
    }
    if cx.args.iter().any(|a| a.contains("remount") || a.contains("make-")) {
        return Ok(0);
    }
    Err(cx.unsupported("mounting"))
}
