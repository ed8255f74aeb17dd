//! Programs that run other programs.

use super::{Cx, Status, getopt};

pub(super) fn dispatch(tool: &str, cx: &mut Cx<'_>) -> Option<Status> {
    Some(match tool {
        "sh" | "dash" | "bash" => shell(cx),
        "true" => Ok(0),
        "false" => Ok(1),
        "test" | "[" => {
            let mut words = vec![cx.name.to_owned()];
            words.extend_from_slice(cx.args);
            let io = cx.io.clone();
            Ok(cx.sh.test(&words, &io).unwrap_or(2))
        }
        "pwd" => {
            let cwd = cx.sh.cwd.clone();
            cx.out(format!("{cwd}\n"));
            Ok(0)
        }
        "env" => env(cx),
        "printenv" => printenv(cx),
        "sudo" => sudo(cx),
        "su" => Err(cx.unsupported("su (use sudo)")),
        "timeout" => timeout(cx),
        "nohup" | "setsid" | "nice" | "ionice" | "stdbuf" => prefix(cx),
        "flock" => flock(cx),
        "xargs" => xargs(cx),
        "which" => which(cx),
        "kill" | "pkill" => Ok(0),
        "pgrep" => pgrep(cx),
        "ps" => {
            cx.out("    PID TTY          TIME CMD\n      1 ?        00:00:00 systemd\n");
            Ok(0)
        }
        "tty" => {
            cx.out("not a tty\n");
            Ok(1)
        }
        _ => return None,
    })
}

fn shell(cx: &mut Cx<'_>) -> Status {
    let bash = cx.name == "bash";
    let mut child = cx.sh.spawn(bash);
    child.arg0 = cx.name.to_owned();
    let (mut command, mut from_stdin) = (false, false);
    let mut rest = cx.args;
    while let Some((first, more)) = rest.split_first() {
        if first == "--" {
            rest = more;
            break;
        }
        if matches!(first.as_str(), "--login" | "--norc" | "--noprofile" | "--posix") && bash {
            rest = more;
            continue;
        }
        let on = match first.chars().next() {
            Some('-') if first.len() > 1 => true,
            Some('+') if first.len() > 1 => false,
            _ => break,
        };
        rest = more;
        for letter in first.chars().skip(1) {
            match letter {
                'c' => command = true,
                's' => from_stdin = true,
                'l' | 'i' => {}
                'o' => {
                    let Some((name, more)) = rest.split_first() else { break };
                    rest = more;
                    if !child.options.set_name(name, on, bash) {
                        return Err(cx.fail(2, format!("0: Illegal option -o {name}")));
                    }
                }
                letter if child.options.set_letter(letter, on) => {}
                letter => return Err(cx.fail(2, format!("0: Illegal option -{letter}"))),
            }
        }
    }
    let io = cx.io.fork();
    if command {
        let Some((text, more)) = rest.split_first() else {
            return Err(cx.fail(2, "0: -c requires an argument"));
        };
        if let Some((name, more)) = more.split_first() {
            child.arg0.clone_from(name);
            child.positional = more.to_vec();
        }
        return Ok(child.run_script(text, &io));
    }
    if from_stdin || rest.is_empty() {
        child.positional = rest.to_vec();
        let text = String::from_utf8_lossy(&cx.stdin()).into_owned();
        return Ok(child.run_script(&text, &io));
    }
    let (file, more) = (&rest[0], &rest[1..]);
    let bytes = match cx.read(file) {
        Ok(bytes) => bytes,
        Err(_) if bash => return Err(cx.fail(127, format!("{file}: No such file or directory"))),
        Err(_) => return Err(cx.fail(2, format!("0: cannot open {file}: No such file"))),
    };
    child.arg0.clone_from(file);
    child.positional = more.to_vec();
    Ok(child.run_script(&String::from_utf8_lossy(&bytes), &io))
}

fn env(cx: &mut Cx<'_>) -> Status {
    let opts = getopt(cx.args, "+iu:", &["ignore-environment", "unset="]).map_err(|e| cx.fail(125, e))?;
    let mut child = cx.sh.clone();
    if opts.has(&["i", "ignore-environment"]) {
        child.vars.retain(|_, v| !v.exported);
    }
    for name in opts.values(&["u", "unset"]) {
        child.vars.remove(name);
    }
    let mut rest = opts.rest.as_slice();
    if rest.first().is_some_and(|a| a == "-") {
        child.vars.retain(|_, v| !v.exported);
        rest = &rest[1..];
    }
    while let Some((name, value)) = rest.first().and_then(|a| a.split_once('=')) {
        child.set_var(name, value);
        if let Some(var) = child.vars.get_mut(name) {
            var.exported = true;
        }
        rest = &rest[1..];
    }
    if rest.is_empty() {
        let text: String = child
            .vars
            .iter()
            .filter(|(_, v)| v.exported)
            .filter_map(|(n, v)| Some(format!("{n}={}\n", v.value.as_ref()?)))
            .collect();
        cx.out(text);
        return Ok(0);
    }
    let io = cx.io.fork();
    Ok(child.run_program(rest, &io))
}

fn printenv(cx: &mut Cx<'_>) -> Status {
    if cx.args.is_empty() {
        return env(cx);
    }
    let mut status = 0;
    for name in cx.args {
        match cx.sh.env(name).map(str::to_owned) {
            Some(value) => {
                cx.out(format!("{value}\n"));
            }
            None => status = 1,
        }
    }
    Ok(status)
}

fn sudo(cx: &mut Cx<'_>) -> Status {
    let opts = getopt(
        cx.args,
        "+nEHSku:g:isvp:",
        &["non-interactive", "preserve-env?", "set-home", "user=", "login", "shell"],
    )
    .map_err(|e| cx.fail(1, e))?;
    if !cx.root() && cx.sh.user != "debian" {
        return Err(cx.fail(1, "a password is required"));
    }
    let user = opts.value(&["u", "user"]).unwrap_or("root").to_owned();
    if opts.has(&["v", "k"]) && opts.rest.is_empty() {
        return Ok(0);
    }
    let mut child = cx.sh.spawn(cx.sh.bash);
    if !opts.has(&["E", "preserve-env"]) {
        child.vars.retain(|n, _| ["LANG", "PATH", "TERM", "IFS"].contains(&n.as_str()));
        child.set_var("PATH", crate::host::PATH);
    }
    let mut rest = opts.rest.as_slice();
    let mut set = vec![
        ("USER".to_owned(), user.clone()),
        ("LOGNAME".to_owned(), user.clone()),
        ("SUDO_USER".to_owned(), cx.sh.user.clone()),
        ("HOME".to_owned(), if user == "root" { "/root".to_owned() } else { format!("/home/{user}") }),
    ];
    while let Some((name, value)) = rest.first().and_then(|a| a.split_once('=')) {
        set.push((name.to_owned(), value.to_owned()));
        rest = &rest[1..];
    }
    for (name, value) in set {
        child.set_var(&name, value);
        if let Some(var) = child.vars.get_mut(&name) {
            var.exported = true;
        }
    }
    child.user = user;
    let io = cx.io.fork();
    if opts.has(&["i", "s", "login", "shell"]) {
        if opts.has(&["i", "login"]) {
            child.cwd = child.var("HOME").unwrap_or("/").to_owned();
        }
        let text =
            if rest.is_empty() { String::from_utf8_lossy(&cx.stdin()).into_owned() } else { rest.join(" ") };
        return Ok(child.run_script(&text, &io));
    }
    if rest.is_empty() {
        return Err(cx.fail(1, "usage: sudo [-n] [-u user] [VAR=value] command"));
    }
    if let Err(crate::host::files::Errno::NotFound) = child.find_program(&rest[0]) {
        return Err(cx.fail(1, format!("{}: command not found", rest[0])));
    }
    Ok(child.run_program(rest, &io))
}

fn timeout(cx: &mut Cx<'_>) -> Status {
    let opts = getopt(cx.args, "+k:s:v", &["kill-after=", "signal=", "foreground", "preserve-status"])
        .map_err(|e| cx.fail(125, e))?;
    let Some((limit, rest)) = opts.rest.split_first() else { return Err(cx.fail(125, "missing operand")) };
    let (number, factor) = match limit.chars().last() {
        Some('s') => (&limit[..limit.len() - 1], 1.0),
        Some('m') => (&limit[..limit.len() - 1], 60.0),
        Some('h') => (&limit[..limit.len() - 1], 3600.0),
        Some('d') => (&limit[..limit.len() - 1], 86_400.0),
        _ => (limit.as_str(), 1.0),
    };
    let Some(seconds) = number.parse::<f64>().ok().filter(|n| *n >= 0.0) else {
        return Err(cx.fail(125, format!("invalid time interval '{limit}'")));
    };
    if rest.is_empty() {
        return Err(cx.fail(125, "missing operand"));
    }
    let milliseconds = if seconds == 0.0 { i64::MAX } else { (seconds * factor * 1000.0).min(1e15) as i64 };
    let io = cx.io.fork();
    let rest = rest.to_vec();
    let (status, ended) = cx.sh.within(milliseconds, |sh| sh.clone().run_program(&rest, &io));
    Ok(if ended { 124 } else { status })
}

fn run_rest(cx: &mut Cx<'_>, rest: &[String]) -> Status {
    let io = cx.io.fork();
    Ok(cx.sh.clone().run_program(rest, &io))
}

fn prefix(cx: &mut Cx<'_>) -> Status {
    let opts = getopt(cx.args, "+n:c:o:e:i:fw", &["fork", "wait"]).map_err(|e| cx.fail(125, e))?;
    if opts.rest.is_empty() {
        return Err(cx.fail(125, "missing operand"));
    }
    run_rest(cx, &opts.rest)
}

/// Locks are always free: a simulated host runs one program at a time in each session.
fn flock(cx: &mut Cx<'_>) -> Status {
    let opts = getopt(
        cx.args,
        "+nxsw:uc:E:o",
        &["nonblock", "exclusive", "shared", "timeout=", "unlock", "command="],
    )
    .map_err(|e| cx.fail(64, e))?;
    if let Some(command) = opts.value(&["c", "command"]) {
        let words = vec!["sh".to_owned(), "-c".to_owned(), command.to_owned()];
        return run_rest(cx, &words);
    }
    match opts.rest.split_first() {
        Some((_, rest)) if !rest.is_empty() => match rest {
            [flag, command] if flag == "-c" => {
                let words = vec!["sh".to_owned(), "-c".to_owned(), command.clone()];
                run_rest(cx, &words)
            }
            rest => run_rest(cx, rest),
        },
        _ => Ok(0),
    }
}

fn xargs(cx: &mut Cx<'_>) -> Status {
    let opts = getopt(
        cx.args,
        "+0rn:I:P:d:tL:",
        &["null", "no-run-if-empty", "max-args=", "max-procs=", "delimiter="],
    )
    .map_err(|e| cx.fail(1, e))?;
    let text = String::from_utf8_lossy(&cx.stdin()).into_owned();
    let words: Vec<String> = if opts.has(&["0", "null"]) {
        text.split('\0').filter(|w| !w.is_empty()).map(str::to_owned).collect()
    } else if opts.value(&["d", "delimiter"]).is_some() || opts.value(&["I"]).is_some() {
        text.lines().map(|l| l.trim_start().to_owned()).filter(|l| !l.is_empty()).collect()
    } else {
        text.split_whitespace().map(str::to_owned).collect()
    };
    let command = if opts.rest.is_empty() { vec!["echo".to_owned()] } else { opts.rest.clone() };
    let io = cx.io.with(0, crate::shell::io::Fd::Null);
    let mut status = 0;
    let mut run = |sh: &mut crate::shell::Shell, args: Vec<String>| {
        let code = sh.clone().run_program(&args, &io);
        if code != 0 {
            status = if code == 127 || code == 126 { code } else { 123 };
        }
    };
    if let Some(mark) = opts.value(&["I"]) {
        for word in words {
            run(cx.sh, command.iter().map(|c| c.replace(mark, &word)).collect());
        }
        return Ok(status);
    }
    if words.is_empty() {
        if !opts.has(&["r", "no-run-if-empty"]) {
            run(cx.sh, command);
        }
        return Ok(status);
    }
    let size = opts.value(&["n", "max-args", "L"]).and_then(|n| n.parse().ok()).unwrap_or(5000).max(1);
    for chunk in words.chunks(size) {
        run(cx.sh, [command.as_slice(), chunk].concat());
    }
    Ok(status)
}

fn which(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("a", &[])?;
    let mut status = 0;
    for name in &opts.rest {
        match cx.sh.find_program(name) {
            Ok(path) => {
                cx.out(format!("{path}\n"));
            }
            Err(_) => status = 1,
        }
    }
    Ok(status)
}

fn pgrep(cx: &mut Cx<'_>) -> Status {
    let Some(name) = cx.args.last().cloned() else {
        return Err(cx.fail(2, "no matching criteria specified"));
    };
    let name = name.trim_matches(['^', '$']).to_owned();
    let machine = cx.sh.machine.clone();
    let runs = cx.sh.state(|s| s.processes.get(&(machine, name.clone())).is_some_and(|n| *n > 0));
    let found = runs
        || cx.host(|h, _| {
            let static_pod = h.node.as_ref().is_some_and(|n| n.pods_up && n.api_port.is_some());
            h.active(&name)
                || (static_pod
                    && ["kube-apiserver", "etcd", "kube-scheduler", "kube-controller-manager"]
                        .contains(&name.as_str()))
        });
    if found {
        cx.out("4242\n");
    }
    Ok(i32::from(!found))
}
