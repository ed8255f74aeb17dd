//! Whole lives of clusters of real machines.

use super::lab::Lab;
use crate::scenario::{self, World};

#[test]
fn one_control_plane_and_one_worker_come_and_go() {
    let lab = Lab::new(&["-var=control_planes=1", "-var=workers=1"]);
    lab.grappe(0, &["apply", "-auto-approve"]);
    scenario::all_well(&lab, &["cp-1", "worker-1"], lab.releases()[0]);
    scenario::nobody_else_can_join(&lab, &["cp-1"]);
    lab.workload(&["cp-1", "worker-1"]);
    lab.grappe(0, &["plan", "-detailed-exitcode"]);
    lab.grappe(0, &["destroy", "-auto-approve"]);
    assert_eq!(lab.leftovers(), Vec::<String>::new());
}

#[test]
fn a_highly_available_cluster_lives_its_whole_life() {
    scenario::a_whole_life(&Lab::new(&[]));
}
