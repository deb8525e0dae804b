//! Agents: streams of commands, and who is seen.

use crate::jobs::{ask, backup, with_item};
use crate::running::{DOMAIN, Protected};
use api::AgentHello;
use format::AgentKey;

pub(crate) fn hello(agent: AgentKey) -> AgentHello {
    AgentHello { agent, host: "machine".to_owned(), program: "agent 1".to_owned(), time_ms: 0 }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_hears_at_once_what_waits_and_of_every_change() {
    let protected = Protected::new().await;
    let (agent, key) = with_item(&protected).await;
    let mut commands = agent.listen_for_commands(DOMAIN, &hello(key)).await.unwrap();
    let first = commands.next().await.unwrap().unwrap();
    assert!(first.revision > 0 && first.waiting == 0 && first.cancel.is_empty() && first.time_ms > 0);
    ask(protected.admin(), 1, backup()).await.unwrap();
    assert_eq!(commands.next().await.unwrap().unwrap().waiting, 1);
    let agents = protected.admin().agents().await.unwrap().agents;
    assert!(agents[0].connected && agents[0].host == "machine" && agents[0].ahead_ms < 0, "{agents:?}");
}
