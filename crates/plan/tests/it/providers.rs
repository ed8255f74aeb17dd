//! `for_each` of `provider` blocks: which configuration each instance uses, and what becomes of objects whose configuration goes.

use insta::assert_snapshot;

use crate::lab::{Lab, text};

const TEXT: &str = r#"
    variable "regions" { default = ["north", "south"] }
    provider "lab" {
      alias    = "by"
      for_each = toset(var.regions)
      region   = "r-${each.value}"
    }
    resource "lab_thing" "t" {
      for_each = toset(var.regions)
      provider = lab.by[each.key]
      name     = each.key
    }
    module "m" {
      source    = "./m"
      for_each  = toset(var.regions)
      providers = { lab = lab.by[each.key] }
      name      = each.key
    }
    module "both" {
      source    = "./n"
      providers = { lab.any = lab.by }
    }
"#;

fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.file("m/main.tf", "variable \"name\" {}\nresource \"lab_thing\" \"inner\" { name = var.name }");
    lab.file("n/main.tf", "resource \"lab_thing\" \"x\" {\n  count    = 2\n  provider = lab.any[count.index == 0 ? \"north\" : \"south\"]\n}");
    lab.main(TEXT);
    lab
}

#[test]
fn each_instance_has_the_configuration_that_it_chooses() {
    let mut lab = lab();
    let plan = lab.plan();
    let used: Vec<String> = plan.operations.iter().map(|op| format!("{} {}", op.addr, op.provider)).collect();
    assert_snapshot!(used.join("\n"), @r#"
    lab_thing.t["north"] lab.by["north"]
    lab_thing.t["south"] lab.by["south"]
    module.m["north"].lab_thing.inner lab.by["north"]
    module.m["south"].lab_thing.inner lab.by["south"]
    module.both.lab_thing.x[0] lab.by["north"]
    module.both.lab_thing.x[1] lab.by["south"]
    "#);
    let configured: Vec<String> = plan.providers.iter().map(|p| format!("{} {:?}", p.key, p.value)).collect();
    assert_snapshot!(configured.join("\n"), @r#"
    lab.by["north"] {"region": "r-north"}
    lab.by["south"] {"region": "r-south"}
    "#);
    for provider in &plan.providers {
        assert_eq!(provider.key.to_string().parse::<grappe_plan::ProviderKey>().as_ref(), Ok(&provider.key));
    }
    lab.run(&plan, |_| 0);
    assert!(lab.plan().is_empty());
}

#[test]
fn a_configuration_stays_as_long_as_objects_use_it() {
    let mut lab = lab();
    let plan = lab.plan();
    lab.run(&plan, |_| 0);
    // Objects and their configuration in one go.
    lab.main(&TEXT.replace("[\"north\", \"south\"]", "[\"north\"]"));
    assert_snapshot!(lab.refused(), @r#"Provider configuration not present: The state has objects that were made with the provider configuration lab.by["south"], and it is no longer in the configuration. (put the `provider` block back until they are destroyed)"#);
    // First the objects.
    let without = TEXT
        .replace(
            "for_each = toset(var.regions)\n      provider",
            "for_each = toset([\"north\"])\n      provider",
        )
        .replace("for_each  = toset(var.regions)", "for_each  = toset([\"north\"])");
    lab.main(&without);
    let plan = lab.plan();
    assert_snapshot!(text(&plan), @r#"
    - lab_thing.t["south"] [KeyNotInForEach]
    - module.m["south"].lab_thing.inner [ModuleNotInConfiguration]
    = 4
    0 delete lab_thing.t["south"]
    1 delete module.m["south"].lab_thing.inner
    "#);
    lab.run(&plan, |_| 0);
    assert_eq!(lab.destroy().operations.len(), 4);
}

#[test]
fn what_is_chosen_must_be_there_and_known() {
    let with = |provider: &str, choice: &str| {
        Lab::new()
            .main(&format!(
                "resource \"lab_thing\" \"a\" {{}}\nprovider \"lab\" {{\n alias = \"by\"\n {provider}\n}}\nresource \"lab_thing\" \"b\" {{\n provider = {choice}\n}}\n"
            ))
            .refused()
    };
    let each = "for_each = toset([\"x\", \"y\"])";
    assert_snapshot!(with(each, "lab.by[\"z\"]"), @r#"Provider instance not present: There is no provider configuration lab.by["z"]: the for_each of its block has ["x"], ["y"]. (a configuration must stay as long as objects use it: take the objects out first, apply, and then the key)"#);
    assert_snapshot!(with(each, "lab.by"), @"Provider instance key required: The provider block of lab.by has for_each: lab_thing.b must choose one of its configurations. (write provider = lab.by[each.key], or choose where the module is called)");
    assert_snapshot!(with(each, "lab.by[lab_thing.a.id]"), @"Invalid provider instance key: Which configuration of lab.by this uses must be known while planning.");
    assert_snapshot!(with(each, "lab.by[sensitive(\"x\")]"), @"Invalid provider instance key: Which configuration of lab.by this uses is stored, so it can't be a sensitive or ephemeral value.");
    assert_snapshot!(with("", "lab.by[\"x\"]"), @"Unexpected provider instance key: The provider block of lab.by has no for_each, so lab.by is one configuration.");
    assert_snapshot!(with("for_each = { (lab_thing.a.id) = 1 }", "lab.by[\"x\"]"), @r#"Invalid for_each argument: The "for_each" set has values that are not known, and nothing that is planned makes them known: it can't be said which instances there are to be. What is different each time, such as uuid(), can't say that; in the values of a map it does no harm."#);
}
