use crate::{host, run};
use grappe_ssh::WriteFile;
use grappe_ssh::testing::Sshd;
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn file(path: &std::path::Path, content: impl Into<Vec<u8>>) -> WriteFile {
    WriteFile {
        path: path.to_str().unwrap().into(),
        content: content.into(),
        mode: 0o640,
        owner: None,
        group: None,
    }
}

#[tokio::test]
async fn written_and_read_back_byte_for_byte() {
    let sshd = Sshd::start();
    let host = host(&sshd).await;
    let group = run(&host, "id -gn").await.stdout_str();
    for (name, content) in [
        ("plain", b"hello\n".to_vec()),
        ("empty", vec![]),
        ("no newline", b"x".to_vec()),
        ("it's \"odd\" $HOME", b"\0\r\n\xff'\n\n".to_vec()),
        ("deep/er/big", (0..3_000_000_u32).map(|n| (n % 251) as u8).collect()),
    ] {
        let path = sshd.dir().join(name);
        let mut wanted = file(&path, content.clone());
        wanted.owner = Some(sshd.user.clone());
        wanted.group = Some(group.clone());
        host.write_file(&wanted).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), content);
        let read = host.read_file(&wanted.path).await.unwrap().expect("it is there");
        assert!(read.content == content, "{name}");
        assert_eq!((read.mode, &read.owner, &read.group), (0o640, &sshd.user, &group));
        let stat = host.stat_file(&wanted.path).await.unwrap().expect("it is there");
        assert_eq!((stat.size, stat.mode, stat.sha256), (content.len() as u64, 0o640, read.sha256));
    }
}

#[tokio::test]
async fn absent_files_folders_and_bad_paths() {
    let sshd = Sshd::start();
    let host = host(&sshd).await;
    let path = sshd.dir().join("nothing").to_str().unwrap().to_owned();
    assert_eq!(host.read_file(&path).await.unwrap(), None);
    assert_eq!(host.stat_file(&path).await.unwrap(), None);
    host.remove_file(&path).await.unwrap();

    let folder = sshd.dir().to_str().unwrap().to_owned();
    for error in [
        host.read_file(&folder).await.unwrap_err(),
        host.write_file(&file(sshd.dir(), "x")).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("not a regular file") && !error.is_transient(), "{error}");
    }
    assert!(host.remove_file(&folder).await.is_err());
    for bad in ["relative", "/ends/in/slash/", "/new\nline", ""] {
        let error = host.read_file(bad).await.unwrap_err();
        assert!(error.to_string().contains("absolute path"), "{error}");
    }
    let mut wanted = file(&sshd.dir().join("owned"), "x");
    wanted.owner = Some("no-such-user".into());
    let error = host.write_file(&wanted).await.unwrap_err();
    assert!(error.to_string().contains("no-such-user"), "{error}");
    assert!(!sshd.dir().join("owned").exists());
    leftovers(&sshd);
}

#[tokio::test]
async fn a_file_is_replaced_whole_or_not_at_all() {
    let sshd = Sshd::start();
    let host = host(&sshd).await;
    let path = sshd.dir().join("flip");
    let contents = ["a".repeat(200_000), "b".repeat(200_000)];
    host.write_file(&file(&path, contents[0].clone())).await.unwrap();
    // Somebody reads all the while, and must never see a mixture, or a wrong mode.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let reader = tokio::task::spawn_blocking({
        let path = path.clone();
        let mut stopped = stopped;
        move || {
            let mut reads = 0;
            while stopped.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
                let text = fs::read_to_string(&path).expect("it is there at any time");
                assert!(text.len() == 200_000 && text.bytes().all(|byte| byte == text.as_bytes()[0]));
                assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
                reads += 1;
            }
            reads
        }
    });
    for n in 1..30 {
        host.write_file(&file(&path, contents[n % 2].clone())).await.unwrap();
    }
    stop.send(()).unwrap();
    assert!(reader.await.unwrap() > 10);
    // A link is replaced, what it pointed to is not.
    let (target, link) = (sshd.dir().join("target"), sshd.dir().join("link"));
    host.write_file(&file(&target, "old")).await.unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    host.write_file(&file(&link, "new")).await.unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "old");
    assert_eq!(fs::read_to_string(&link).unwrap(), "new");
    host.remove_file(link.to_str().unwrap()).await.unwrap();
    assert!(!link.exists());
    leftovers(&sshd);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_dies_in_the_middle_changes_nothing() {
    let sshd = Sshd::start();
    let host = host(&sshd).await;
    let path = sshd.dir().join("precious");
    host.write_file(&file(&path, "old")).await.unwrap();
    let write = tokio::spawn({
        let (host, wanted) = (host.clone(), file(&path, vec![b'n'; 48 << 20]));
        async move { host.write_file(&wanted).await }
    });
    // Once half of it has arrived: cut.
    grappe_ssh::testing::wait_until("a temporary file", || {
        fs::read_dir(sshd.dir()).unwrap().flatten().any(|entry| {
            entry.file_name().to_str().unwrap().starts_with(".precious.grappe-")
                && entry.metadata().is_ok_and(|metadata| metadata.len() > 1 << 20)
        })
    });
    sshd.kill_connections();
    let error = write.await.unwrap().unwrap_err();
    assert!(error.is_transient(), "{error}");
    grappe_ssh::testing::wait_until("the end of the script", || leftover(&sshd).is_none());
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
}

fn leftover(sshd: &Sshd) -> Option<std::ffi::OsString> {
    let mut entries = fs::read_dir(sshd.dir()).unwrap().flatten().map(|entry| entry.file_name());
    entries.find(|name| name.to_string_lossy().contains("grappe-"))
}

fn leftovers(sshd: &Sshd) {
    assert_eq!(leftover(sshd), None);
}

#[tokio::test]
async fn many_files_are_read_by_one_command() {
    let sshd = Sshd::start();
    let host = host(&sshd).await;
    let mut paths = Vec::new();
    let contents = [
        b"hello\n".to_vec(),
        vec![],
        b"\0\r\n\xff'\n\n absent\nfile".to_vec(),
        (0..300_000_u32).map(|n| (n % 251) as u8).collect(),
    ];
    for (n, content) in contents.iter().enumerate() {
        let written = file(&sshd.dir().join(format!("it's {n}")), content.clone());
        host.write_file(&written).await.unwrap();
        paths.push(written.path);
    }
    paths.push(sshd.dir().join("nothing").to_str().unwrap().to_owned());
    paths.push("relative".into());
    paths.push(paths[0].clone());
    let all = host.read_files(&paths).await.unwrap();
    for (path, together) in paths.iter().zip(all) {
        match (together, host.read_file(path).await) {
            (Ok(together), Ok(alone)) => assert_eq!(together, alone, "{path}"),
            (together, alone) => {
                assert_eq!(together.unwrap_err().to_string(), alone.unwrap_err().to_string(), "{path}");
            }
        }
    }
    assert_eq!(host.read_files(&[]).await.unwrap().len(), 0);
}
