//! What `cargo demo` shows, as a test: from a merge to Git to a promotion, a rollback that stays, and the fix.

use std::process::ExitCode;

use belay_tests::demo::{self, Requests};
use belay_tests::plane::{Tests, main as run};

// Given a control plane, Git and Prometheus, and Belay installed from its chart; when versions are merged to Git; then every claim of
// the story holds (each is checked where it is told).
fn main() -> ExitCode {
    run(Tests::begin(), |tests| {
        tests
            .test(
                "the_main_job_is_done_without_a_lost_request_through_a_real_gateway",
                || demo::run(Requests::Real),
            )
            .test_anywhere("the_main_job_is_done_where_no_gateway_can_be", || {
                demo::run(Requests::Played("this test is without one".to_owned()))
            })
    })
}
