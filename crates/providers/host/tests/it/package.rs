use crate::{bench, sshd_with, text};
use grappe_provider_host::testing::{Action, connection};
use grappe_ssh::testing::Sshd;
use grappe_value::Value;
use serde_json::json;
use std::fs;

#[tokio::test]
async fn what_is_installed_already_is_left_alone() {
    // The real dpkg of this machine, which must have OpenSSH's server for this test to run at all.
    let sshd = Sshd::start();
    let bench = bench(&sshd).await;
    let config = json!({"host": connection(&sshd), "names": ["openssh-server"]});
    let made = bench.create("host_package", &config).await;
    assert!(!text(made.get("versions").unwrap(), "openssh-server").is_empty());
    assert_eq!(made.get("added").and_then(Value::as_items).map(<[Value]>::len), Some(0));
    let read = bench.read("host_package", &made).await.unwrap();
    assert!(read.same(&made));
    assert_eq!(bench.action("host_package", &read, &config), Action::Nothing);
    bench.delete("host_package", &made).await;
    assert!(bench.read("host_package", &made).await.is_some(), "it was there before us");
}

/// A package database in a file, with the exit codes and the output of the real tools.
fn programs(db: &str) -> Vec<(&'static str, String)> {
    let query = format!(
        r#"shift 3
for name; do
  if line=$(grep "^$name " {db}); then echo "$line"; else status=1; echo "dpkg-query: no packages found matching $name" >&2; fi
done; exit ${{status:-0}}"#
    );
    let apt = format!(
        r#"echo "apt-get $*" >> {db}.log
verb=; for word; do case $word in
  -o) skip=1 ;; -*) ;;
  update|install|remove) verb=$word; [ $verb = update ] && touch {db}.lists ;;
  *) if [ "$skip" ]; then skip=; continue; fi
     name=${{word%%=*}}; version=1.0-1; case $word in *=*) version=${{word#*=}} ;; esac
     if [ ! -e {db}.lists ]; then echo "E: Unable to locate package $name" >&2; exit 100; fi
     if [ $name = nonsense ]; then echo "E: Unable to locate package nonsense" >&2; exit 100; fi
     grep -v "^$name " {db} > {db}.new; mv {db}.new {db}
     if [ $verb = install ]; then echo "$name $version ii" >> {db}; else echo "$name $version rc" >> {db}; fi ;;
esac; done"#
    );
    let mark = format!(
        r#"how=$1; shift
for name; do if [ $how = hold ]; then sed -i "s/^\($name .*\) ii/\1 hi/" {db}; else sed -i "s/^\($name .*\) hi/\1 ii/" {db}; fi; done"#
    );
    vec![("dpkg-query", query), ("apt-get", apt), ("apt-mark", mark), ("dpkg", String::new())]
}

#[tokio::test]
async fn packages_are_installed_held_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("db");
    grappe_ssh::testing::write(&db, "curl 7.88 ii\n");
    let programs = programs(db.to_str().unwrap());
    let programs: Vec<_> = programs.iter().map(|(name, script)| (*name, script.as_str())).collect();
    let (sshd, _bin) = sshd_with(&programs);
    let bench = bench(&sshd).await;
    let config = json!({"host": connection(&sshd), "names": ["curl", "jq"]});
    let made = bench.create("host_package", &config).await;
    assert_eq!(text(made.get("versions").unwrap(), "jq"), "1.0-1");
    assert_eq!(made.get("added").and_then(Value::as_items), Some(&[Value::from("jq")][..]));
    let log = fs::read_to_string(dir.path().join("db.log")).unwrap();
    let steps: Vec<_> = log.lines().map(|line| line.contains(" update")).collect();
    assert_eq!(steps, [false, true, false], "the lists were empty: {log}");
    assert_eq!(bench.run.checkpoints()[0]["added"], json!(["jq"]), "noted before anything was installed");

    // One was removed by hand: it is missed, and put back.
    grappe_ssh::testing::write(&db, "curl 7.88 ii\n");
    let drifted = bench.read("host_package", &made).await.unwrap();
    assert!(
        matches!(bench.action("host_package", &drifted, &config), Action::Update(names) if names.contains(&"names".into()))
    );
    let made = bench.update("host_package", &drifted, &config).await;
    let mut held = config.clone();
    held["hold"] = json!(true);
    let made = bench.update("host_package", &made, &held).await;
    assert_eq!(fs::read_to_string(&db).unwrap(), "curl 7.88 hi\njq 1.0-1 hi\n");
    assert_eq!(
        bench.action("host_package", &bench.read("host_package", &made).await.unwrap(), &held),
        Action::Nothing
    );

    bench.delete("host_package", &made).await;
    assert_eq!(fs::read_to_string(&db).unwrap(), "curl 7.88 ii\njq 1.0-1 rc\n");
    bench.delete("host_package", &made).await;

    let mut versioned = json!({"host": connection(&sshd), "names": ["kubeadm"], "version": "1.34.*"});
    let fault = bench
        .try_create("host_package", &json!({"host": connection(&sshd), "names": ["nonsense"]}))
        .await
        .unwrap_err();
    assert!(
        fault.details.iter().any(|line| line.contains("Unable to locate")) && fault.hint.is_some(),
        "{fault:?}"
    );
    let made = bench.create("host_package", &versioned).await;
    let log = fs::read_to_string(dir.path().join("db.log")).unwrap();
    assert!(log.trim_end().ends_with("kubeadm=1.34.*"), "{log}");
    versioned["version"] = json!("1.35.*");
    assert!(matches!(bench.action("host_package", &made, &versioned), Action::Update(_)));
    assert!(
        bench.problems("host_package", &json!({"host": connection(&sshd), "names": ["-y"]}))[0]
            .contains("-y")
    );
}

#[tokio::test]
async fn a_host_without_apt_is_told_apart() {
    // A session that finds no dpkg-query at all.
    let bin = tempfile::tempdir().unwrap();
    for tool in ["sh", "timeout", "cat"] {
        std::os::unix::fs::symlink(format!("/usr/bin/{tool}"), bin.path().join(tool)).unwrap();
    }
    let sshd = Sshd::start_with(&format!("SetEnv PATH={}", bin.path().display()));
    let bench = bench(&sshd).await;
    let fault = bench
        .try_create("host_package", &json!({"host": connection(&sshd), "names": ["jq"]}))
        .await
        .unwrap_err();
    assert!(fault.summary.contains("works with apt, dnf and tdnf") && !fault.is_transient(), "{fault:?}");
}
