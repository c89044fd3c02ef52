//! Who the peer is.

use std::time::{SystemTime, UNIX_EPOCH};

use gossip_msp::{Msp, SigningIdentity};

use super::Failure;
use crate::config::Settings;

/// Reads the local MSP: the rules of the own organisation, and what signs for the peer.
///
/// # Errors
///
/// Names the setting or file, and what was expected of it.
pub(crate) fn local_msp(settings: &Settings) -> Result<(Msp, SigningIdentity), Box<Failure>> {
    if settings.text("peer.localMspType") != "bccsp" {
        return Err(settings.error("peer.localMspType", "expected bccsp, the X.509 kind").into());
    }
    let mspid = settings.text("peer.localMspId");
    if mspid.is_empty() {
        let problem = "expected the MSP id of the peer's organisation";
        return Err(settings.error("peer.localMspId", problem).into());
    }
    let Some(folder) = settings.path("peer.mspConfigPath") else {
        return Err(settings.error("peer.mspConfigPath", "expected an MSP folder").into());
    };
    let wrong = |error| settings.error("peer.mspConfigPath", error);
    let msp = Msp::from_folder(folder, mspid).map_err(wrong)?;
    let signer = SigningIdentity::from_folder(folder, mspid).map_err(wrong)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    signer.check(&msp, now.as_secs()).map_err(wrong)?;
    Ok((msp, signer))
}
