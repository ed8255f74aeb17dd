//! What is wrong is said while planning where it can be, and clearly where it can't.

use grappe_provider_core::testing::Bench;
use grappe_value::Value;

use crate::lab::{Lab, str_of};

fn problems(bench: &mut Bench, ty: &str, args: &[(&str, Value)]) -> Vec<String> {
    let config = bench.config(ty, &Value::object(args.iter().cloned()));
    bench.resource(ty).validate(&config).into_iter().map(|p| p.attribute.to_string()).collect()
}

#[test]
fn wrong_arguments_are_said_while_planning() {
    let mut lab = Lab::new();
    let bench = lab.bench("x");
    let cidr = |text: &str| vec![("name", Value::from("n")), ("cidr", text.into())];
    for (text, wrong) in [
        ("10.0.0.0/24", false),
        ("10.0.0.1/24", true),
        ("10.0.0.0", true),
        ("10.0.0.0/31", true),
        ("::/64", true),
    ] {
        assert_eq!(problems(bench, "local_network", &cidr(text)), vec!["cidr"; usize::from(wrong)], "{text}");
    }
    let with = |name: &'static str, value: Value| [cidr("10.0.2.0/24"), vec![(name, value)]].concat();
    assert_eq!(problems(bench, "local_network", &with("gateway", "10.0.3.1".into())), ["gateway"]);
    assert_eq!(problems(bench, "local_network", &with("gateway", "10.0.2.255".into())), ["gateway"]);
    assert_eq!(problems(bench, "local_network", &with("nat", true.into())), ["cidr"]);
    assert_eq!(problems(bench, "local_network", &with("namespace", "../x".into())), ["namespace"]);

    let machine = |name: &'static str, value: Value| {
        let mut args = vec![
            ("name", Value::from("a")),
            ("image_id", "i".into()),
            ("network_id", "n".into()),
            ("ip", "10.0.0.2".into()),
        ];
        args.retain(|(n, _)| *n != name);
        args.push((name, value));
        args
    };
    assert_eq!(problems(bench, "local_machine", &machine("name", "a".into())), [""; 0]);
    for (name, value) in [
        ("name", Value::from("A b")),
        ("name", "-a".into()),
        ("name", "a".repeat(64).as_str().into()),
        ("ip", "10.0.0".into()),
        ("backend", "vmware".into()),
        ("tmpfs", Value::tuple([Value::from("var/lib")])),
        ("tmpfs", Value::tuple([Value::from("/a/../../etc")])),
        ("limits", Value::object([("memory", Value::from("much"))])),
        ("limits", Value::object([("memory", Value::from("1Mi"))])),
    ] {
        assert_eq!(problems(bench, "local_machine", &machine(name, value.clone())), [name], "{value:?}");
    }

    assert_eq!(problems(bench, "local_image", &[]), ["tarball"]);
    let both = [("tarball", Value::from("a.tar")), ("oci_archive", "b.tar".into())];
    assert_eq!(problems(bench, "local_image", &both), ["oci_archive"]);
    assert_eq!(
        problems(bench, "local_image", &[("tarball", "a.tar".into()), ("sha256", "abc".into())]),
        ["sha256"]
    );
    for (part, value) in [("suite", Value::from("--help")), ("include", Value::tuple([Value::from("a;b")]))] {
        let mut debian = vec![("suite", Value::from("bookworm"))];
        debian.retain(|(name, _)| *name != part);
        debian.push((part, value));
        assert_eq!(
            problems(bench, "local_image", &[("debian", Value::object(debian))]),
            ["debian"],
            "{part}"
        );
    }
}

#[test]
fn names_and_addresses_are_given_away_once() {
    let mut lab = Lab::new();
    let image = lab.image();
    let network = lab.network("10.203.1.0/24");
    let said = |result: Result<Value, grappe_provider::Fault>| {
        let fault = result.expect_err("it must be refused");
        assert!(!fault.is_transient());
        format!("{}: {fault}", fault.attribute.as_ref().map(ToString::to_string).unwrap_or_default())
    };
    let over = [("name", Value::from("n")), ("cidr", "10.203.0.0/16".into())];
    let text = said(lab.try_create("local_network", "over", &over));
    assert!(text.starts_with("cidr: 10.203.0.0/16 overlaps with 10.203.1.0/24"), "{text}");

    let a = lab.machine(&image, &network, "a", "10.203.1.11");
    for (name, ip, wanted) in [
        ("b", "10.203.2.11", "ip: 10.203.2.11 is no address of a host in 10.203.1.0/24"),
        ("b", "10.203.1.0", "ip: 10.203.1.0 is no address"),
        ("b", "10.203.1.1", "ip: 10.203.1.1 is the gateway"),
        ("b", "10.203.1.11", "ip: the machine a ("),
        ("a", "10.203.1.12", "name: the network lab has a machine a already"),
    ] {
        let args = lab.machine_args(&image, &network, name, ip);
        let text = said(lab.try_create("local_machine", "b", &args));
        assert!(text.starts_with(wanted), "{text}");
    }
    let with = |lab: &Lab, name: &'static str, value: Value| {
        let mut args = lab.machine_args(&image, &network, "c", "10.203.1.13");
        args.retain(|(n, _)| *n != name);
        args.push((name, value));
        args
    };
    for (name, value, wanted) in [
        ("image_id", Value::from("sha256:00"), "image_id: there is no local image sha256:00"),
        ("network_id", "0123456789".into(), "network_id: there is no local network"),
    ] {
        let args = with(&lab, name, value);
        let text = said(lab.try_create("local_machine", "c", &args));
        assert!(text.starts_with(wanted), "{text}");
    }
    // Nobody's claim stays: the address of what was refused is free.
    assert!(!crate::host::traces(str_of(&a, "id")).is_empty());
    let user_data = with(&lab, "user_data", "#cloud-config\n".into());
    let text = said(lab.try_create("local_machine", "d", &user_data));
    assert!(text.starts_with("user_data: the image has no cloud-init"), "{text}");
    let c = lab.machine(&image, &network, "c", "10.203.1.13");

    let text = said(lab.try_delete("local_network", "10.203.1.0/24", &network).map(|()| Value::from(true)));
    assert!(text.contains("is still on the network"), "{text}");
    for (key, machine) in [("a", a), ("c", c)] {
        lab.delete("local_machine", key, &machine);
    }
}
