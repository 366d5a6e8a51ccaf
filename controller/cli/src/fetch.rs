//! Reading objects, with errors that say what is missing.

use kube::{Api, api::ListParams};

use crate::{Error, args::ListArgs, cluster::Cluster, subject::Subject};

/// Most objects asked for at once.
const PAGE: u32 = 500;

/// The object of that name in the namespace that is meant.
pub(crate) async fn one<K: Subject>(cluster: &Cluster, name: &str) -> Result<K, Error> {
    match cluster.api::<K>().get_opt(name).await {
        Ok(Some(object)) => Ok(object),
        Ok(None) => {
            // 404 has two causes: no such object, or no such kind.
            cluster
                .api::<K>()
                .list(&ListParams::default().limit(1))
                .await
                .map_err(missing_kind::<K>)?;
            Err(Error::NotFound {
                kind: K::KIND,
                name: name.to_owned(),
                namespace: cluster.namespace.clone(),
            })
        }
        Err(error) => Err(error.into()),
    }
}

/// All objects that `args` ask for, ordered by namespace and name.
pub(crate) async fn all<K: Subject>(cluster: &Cluster, args: &ListArgs) -> Result<Vec<K>, Error> {
    let api: Api<K> = if args.all_namespaces {
        Api::all(cluster.client.clone())
    } else {
        cluster.api()
    };
    let mut params = ListParams::default().limit(PAGE);
    params.label_selector.clone_from(&args.selector);
    let mut objects = Vec::new();
    loop {
        let page = api.list(&params).await.map_err(missing_kind::<K>)?;
        objects.extend(page.items);
        match page.metadata.continue_ {
            Some(token) if !token.is_empty() => params = params.continue_token(&token),
            _ => break,
        }
    }
    objects.sort_by(|a, b| {
        let key = |object: &K| (object.meta().namespace.clone(), object.meta().name.clone());
        key(a).cmp(&key(b))
    });
    Ok(objects)
}

fn missing_kind<K: Subject>(error: kube::Error) -> Error {
    match error {
        kube::Error::Api(status) if status.is_not_found() => Error::NotInstalled(K::KIND),
        other => other.into(),
    }
}
