//! `provisioner` blocks: each step an operation of its own, in its place.

use grappe_value::addr::InstanceAddr;
use insta::assert_snapshot;

use crate::lab::{Lab, text};

const STEPS: &str = r#"
resource "lab_thing" "a" {
  name = "a"
  connection {
    host = self.address
    user = "root"
  }
  provisioner "local-exec" { command = "one ${self.id}" }
  provisioner "remote-exec" {
    command = "two ${lab_thing.z.id}"
    connection { user = "other" }
  }
  provisioner "local-exec" {
    when    = destroy
    command = "gone ${self.name}"
  }
}
resource "lab_thing" "b" { input = lab_thing.a.id }
resource "lab_thing" "z" {}
"#;

#[test]
fn steps_come_between_an_object_and_what_waits_for_it() {
    let mut lab = Lab::new();
    let plan = lab.main(STEPS).plan();
    assert_snapshot!(text(&plan), @r#"
    + lab_thing.a
    + lab_thing.b
    + lab_thing.z
    0 create lab_thing.z
    1 create lab_thing.a <- 0
    2 provision lab_thing.a <- 1
    3 provision lab_thing.a <- 2
    4 create lab_thing.b <- 3
    "#);
    lab.run(&plan, |_| 0);
    assert_snapshot!(lab.steps.join("\n"), @r#"
    lab_thing.a local-exec: {"config": {"command": "one id-2"}, "connection": null, "secrets": []}
    lab_thing.a remote-exec: {"config": {"command": "two id-1"}, "connection": {"host": "10.0.0.2", "user": "other"}, "secrets": []}
    "#);
    assert!(lab.plan().is_empty());
    // Before it goes, and all that stands on it before that.
    let plan = lab.destroy();
    assert_snapshot!(text(&plan), @r#"
    - lab_thing.a [Destroy]
    - lab_thing.b [Destroy]
    - lab_thing.z [Destroy]
    0 delete lab_thing.b
    1 provision lab_thing.a <- 0
    2 delete lab_thing.a <- 1
    3 delete lab_thing.z <- 2
    "#);
    lab.steps.clear();
    lab.run(&plan, |_| 0);
    assert_snapshot!(lab.steps.join("\n"), @r#"lab_thing.a local-exec: {"config": {"command": "gone a"}, "connection": null, "secrets": []}"#);
}

#[test]
fn a_replacement_has_the_steps_of_both() {
    let block = |image: &str, lifecycle: &str| {
        format!(
            "resource \"lab_thing\" \"a\" {{\n image = \"{image}\"\n {lifecycle}\n provisioner \"local-exec\" {{ command = \"new ${{self.image}}\" }}\n provisioner \"local-exec\" {{\n when = destroy\n command = \"old ${{self.image}}\"\n }}\n}}\n"
        )
    };
    for lifecycle in ["", "lifecycle { create_before_destroy = true }"] {
        let mut lab = Lab::new();
        lab.apply(&block("1", lifecycle));
        lab.steps.clear();
        let plan = lab.main(&block("2", lifecycle)).plan();
        assert_snapshot!(text(&plan));
        lab.run(&plan, |_| 0);
        assert_snapshot!(lab.steps.join("\n"));
    }
}

#[test]
fn a_run_goes_on_at_the_step_at_which_the_one_before_it_stopped() {
    let mut lab = Lab::new();
    lab.apply(STEPS);
    let addr: InstanceAddr = "lab_thing.a".parse().unwrap();
    lab.state.objects.get_mut(&addr).unwrap().steps_done = Some(1);
    assert_snapshot!(text(&lab.plan()), @r#"
    ~+ lab_thing.a [StepsLeft { done: 1, of: 2 }]
    = 2
    0 provision lab_thing.a
    "#);
    // The steps of an object that changes too come after that.
    let changed = STEPS.replace("name = \"a\"", "name = \"b\"");
    assert_snapshot!(text(&lab.main(&changed).plan()), @r#"
    ~ lab_thing.a name
    = 2
    0 update lab_thing.a
    1 provision lab_thing.a <- 0
    "#);
    // Where the steps are gone from the configuration, nothing is left to do.
    let plan = lab.main("resource \"lab_thing\" \"a\" { name = \"a\" }\nresource \"lab_thing\" \"b\" { input = lab_thing.a.id }\nresource \"lab_thing\" \"z\" {}\n").plan();
    assert_snapshot!(text(&plan), @r#"
    = 3
    0 record lab_thing.a
    "#);
    // What was undone of an object that stays is not undone any more.
    lab.apply(STEPS);
    let object = lab.state.objects.get_mut(&addr).unwrap();
    (object.steps_done, object.undone) = (None, 1);
    assert_snapshot!(text(&lab.plan()), @r#"
    = 3
    0 record lab_thing.a
    "#);
    assert_snapshot!(text(&lab.destroy()), @r#"
    - lab_thing.a [Destroy]
    - lab_thing.b [Destroy]
    - lab_thing.z [Destroy]
    0 delete lab_thing.b
    1 delete lab_thing.a <- 0
    2 delete lab_thing.z <- 1
    "#);
}

#[test]
fn what_is_wrong_with_a_step_is_said_before_anything_is_done() {
    let refused =
        |block: &str| Lab::new().main(&format!("resource \"lab_thing\" \"a\" {{\n{block}\n}}\n")).refused();
    assert_snapshot!(refused("provisioner \"local-exce\" { command = \"x\" }"), @r#"Unknown provisioner: There is no provisioner "local-exce" here. (did you mean "local-exec"?)"#);
    assert_snapshot!(refused("provisioner \"local-exec\" { comand = \"x\" }"), @r#"
    Missing required argument: The argument "command" is required, but no definition was found.
    Unsupported argument: An argument named "comand" is not expected here. (did you mean "command"?)
    "#);
    assert_snapshot!(refused("provisioner \"local-exec\" { command = \"\" }"), @r#"Invalid value for "command": says nothing"#);
    assert_snapshot!(refused("provisioner \"remote-exec\" { command = \"x\" }"), @r#"Missing connection configuration for provisioner: A "remote-exec" step must be told which host it is for. (add a block: connection { host = … }, to the resource or to the step)"#);
    assert_snapshot!(refused("connection { user = \"x\" }\nprovisioner \"remote-exec\" { command = \"x\" }"), @r#"Missing required argument: The argument "host" is required in a connection, but no definition was found."#);
    assert_snapshot!(refused("provisioner \"local-exec\" { command = self.nope }"), @r#"Unsupported attribute: This object does not have an attribute named "nope". (did you mean "note"?)"#);
}
