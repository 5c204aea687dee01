//! Regions, multi-sites and machines, by the API.

use crate::world::{World, code};
use manager::view::{MachineCreate, MachineEdit, MultiSiteRequest, Progress, RegionRequest};

fn site(name: &str, region: &str) -> MultiSiteRequest {
    MultiSiteRequest { name: name.to_owned(), region: region.to_owned(), comment: String::new() }
}

#[tokio::test]
async fn dcs_03_dcs_04_a_multi_site_is_created_inside_a_region_that_exists() {
    let world = World::empty().await;
    assert_eq!(code(world.client.create_multi_site(&site("Paris", "france")).await), "not-found");
    assert!(world.client.multi_sites().await.unwrap().is_empty(), "nothing was changed");
    let region = RegionRequest { name: "France".to_owned(), comment: "south of Calais".to_owned() };
    assert_eq!(world.client.create_region(&region).await.unwrap().id, "france");
    assert_eq!(world.client.create_multi_site(&site("Paris", "france")).await.unwrap().region, "france");
    assert_eq!(code(world.client.delete_region("france").await), "in-use");
    assert_eq!(world.client.regions().await.unwrap().len(), 1);
}

#[tokio::test]
async fn dcs_06_a_cluster_server_without_name_or_address_is_refused_and_not_created() {
    let world = World::with_site().await;
    for (name, address) in [("", "192.0.2.1"), ("  ", "192.0.2.1"), ("CS", ""), ("CS", "not an address")] {
        let refused = world.add(MachineCreate::cluster_server(name, address, "paris")).await;
        assert_eq!(code(refused), "invalid-field", "'{name}' '{address}'");
    }
    let nowhere = world.add(MachineCreate::cluster_server("CS", "192.0.2.1", "rome")).await;
    assert_eq!(code(nowhere), "not-found");
    assert!(world.client.machines().await.unwrap().is_empty());
}

#[tokio::test]
async fn dcs_07_what_the_operator_says_of_a_machine_is_kept_and_can_be_changed() {
    let world = World::with_site().await;
    let mut request = MachineCreate::cluster_server("Centre", "192.0.2.1", "paris");
    request.postal_address = "1 rue de Rivoli".to_owned();
    request.site_number = Some(7);
    let made = world.add(request).await.unwrap();
    assert_eq!((made.id.as_str(), made.address.as_str()), ("centre", "192.0.2.1:7501"));
    assert_eq!((made.region.as_str(), made.site_number, made.progress), ("france", 7, Progress::Created));
    assert_eq!(made.next, "claim it with the code it shows on its console");
    let edit = MachineEdit { comment: Some("rack 3".to_owned()), ..MachineEdit::default() };
    let changed = world.client.edit_machine("centre", &edit).await.unwrap();
    assert_eq!((changed.comment.as_str(), changed.postal_address.as_str()), ("rack 3", "1 rue de Rivoli"));
}

#[tokio::test]
async fn dep_23_dep_24_a_node_is_created_in_a_cluster_and_the_log_says_in_which() {
    let world = World::with_site().await;
    world.add(MachineCreate::cluster_server("CS", "192.0.2.1", "paris")).await.unwrap();
    assert_eq!(code(world.add(MachineCreate::node("N", "192.0.2.2", "nobody")).await), "not-found");
    let node = world.add(MachineCreate::node("Node 1", "192.0.2.2", "cs")).await.unwrap();
    assert_eq!(
        (node.id.as_str(), node.multi_site.as_str(), node.cs.as_deref()),
        ("node-1", "paris", Some("cs"))
    );
    assert_eq!(world.logged("create node").await.detail, "created in cluster of 'cs'");
}

#[tokio::test]
async fn a_name_is_given_once_among_regions_multi_sites_and_machines() {
    let world = World::with_site().await;
    let region = RegionRequest { name: "FRANCE".to_owned(), ..RegionRequest::default() };
    assert_eq!(code(world.client.create_region(&region).await), "name-in-use");
    assert_eq!(code(world.client.create_multi_site(&site("paris", "france")).await), "name-in-use");
    world.add(MachineCreate::cluster_server("CS", "192.0.2.1", "paris")).await.unwrap();
    assert_eq!(code(world.add(MachineCreate::node("cs", "192.0.2.2", "cs")).await), "name-in-use");
    world.add(MachineCreate::node("N", "192.0.2.2", "cs")).await.unwrap();
    let rename = MachineEdit { name: Some("CS".to_owned()), ..MachineEdit::default() };
    assert_eq!(code(world.client.edit_machine("n", &rename).await), "name-in-use");
    assert_eq!(world.client.machine("n").await.unwrap().name, "N");
    assert_eq!(
        (world.client.regions().await.unwrap().len(), world.client.machines().await.unwrap().len()),
        (1, 2)
    );
}

#[tokio::test]
async fn dcs_06_an_address_that_is_in_the_topology_is_refused_naming_its_machine() {
    let world = World::with_site().await;
    world.add(MachineCreate::cluster_server("CS", "192.0.2.1:7501", "paris")).await.unwrap();
    let refused = world.add(MachineCreate::node("N", "192.0.2.1", "cs")).await.unwrap_err();
    assert!(refused.to_string().contains("'cs'"), "{refused}");
    assert_eq!(world.client.machines().await.unwrap().len(), 1);
}
