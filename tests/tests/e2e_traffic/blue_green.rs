//! Blue-green: a preview without requests, then all of them at once, and forward or back from there.

use belay_engine::action::Verb;
use belay_tests::Error;
use serde_json::{Value, json};

use crate::lane::{Lane, Pods};

/// The Rollout of a lane whose route is switched.
pub(crate) fn by_route() -> Value {
    let routes = json!([{"kind": "HTTPRoute", "name": "web"}]);
    spec(&json!({"service": "web", "routes": routes, "drain": "1s"}))
}

/// The Rollout of a lane whose Service is switched; the route leads to it all the time.
pub(crate) fn by_service() -> Value {
    spec(&json!({"service": "web", "drain": "1s"}))
}

fn spec(traffic: &Value) -> Value {
    json!({
        // So long that only a person ends it.
        "strategy": {"blueGreen": {"preview": {"approval": true}, "scaleDownDelay": "1h"}},
        "traffic": traffic,
    })
}

/// A switch, and then the promotion or the way back.
pub(crate) async fn switched(lane: &mut Lane, stays: bool) -> Result<(), Error> {
    lane.begin("a switch", 5);
    let pods = if stays { Pods::Drain } else { Pods::StopAtOnce };
    lane.release(pods).await?;
    lane.holds("Approval", 0).await?;
    lane.act(Verb::Approve).await?;
    lane.holds("Hold", 100).await?;
    if stays {
        lane.act(Verb::Skip).await?;
        lane.promoted().await
    } else {
        lane.act(Verb::Abort).await?;
        lane.rejected().await
    }
}
