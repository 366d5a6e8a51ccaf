//! What `cargo demo` shows, as a test: from a merge to Git to a promotion, a rollback that stays, and the fix.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_main_job_is_done_end_to_end_on_a_real_control_plane() {
    // Given a control plane, Git and Prometheus, and Belay installed from its chart; when versions are merged to Git;
    // then every claim of the story holds (each is checked where it is told).
    belay_tests::demo::run().await.unwrap();
}
