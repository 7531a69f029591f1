//! A client of a daemon's API that waits while the daemon is busy.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::cli::{Failure, while_doing};
use crate::engine::{Code, Error};
use crate::http::listen_address;

/// An address as text, or a name of this device: a static program asks nobody for others.
pub(super) fn resolve(server: &str) -> Result<SocketAddr, Failure> {
    let bare = server.trim_start_matches("http://").trim_end_matches('/');
    let mut address = listen_address(bare).map_err(|e| format!("--server {e}"))?;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(address)
}

/// A connection to a daemon's API.
pub(super) struct Client {
    address: SocketAddr,
    /// Of the door of this device, whose people only its bearer may change.
    token: Option<String>,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    pub async fn connect(address: SocketAddr, token: Option<String>) -> Result<Client, Failure> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(while_doing(format!("no daemon answers at {address}")))?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Client {
            address,
            token,
            sender,
        })
    }

    /// Posts `body`. The inner error is the API's, for its codes that concern the caller.
    pub async fn call(
        &mut self,
        path: &str,
        body: &Value,
    ) -> Result<Result<Value, Error>, Failure> {
        let body = Bytes::from(body.to_string());
        loop {
            if self.sender.ready().await.is_err() {
                self.sender = Client::connect(self.address, None).await?.sender;
            }
            let mut request = Request::post(format!("{}{path}", crate::http::PREFIX))
                .header(header::HOST, self.address.to_string())
                .header(header::CONTENT_TYPE, "application/json");
            if let Some(token) = &self.token {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            let request = request.body(Full::new(body.clone()))?;
            let response = self.sender.send_request(request).await?;
            let status = response.status();
            let answer = response.into_body().collect().await?.to_bytes();
            if status == StatusCode::SERVICE_UNAVAILABLE {
                tokio::time::sleep(Duration::from_millis(500)).await;
                continue;
            }
            let answer: Value = serde_json::from_slice(&answer).map_err(while_doing(format!(
                "{} is no recocomp daemon",
                self.address
            )))?;
            let number = answer["err_code"].as_u64().unwrap_or(500);
            if number == 0 {
                return Ok(Ok(answer));
            }
            let known = [
                Code::CollectionExists,
                Code::InvalidParameter,
                Code::NoFace,
                Code::LowQuality,
                Code::AlreadyEnrolled,
                Code::InvalidImage,
                Code::TargetQuota,
            ];
            let code = known.into_iter().find(|c| u64::from(c.number()) == number);
            let detail = answer["detail"].as_str().map(str::to_owned);
            return match code {
                Some(code) => Ok(Err(Error { code, detail })),
                None => Err(format!(
                    "the daemon answers {number}: {}{}",
                    answer["status"].as_str().unwrap_or("no reason given"),
                    detail.map(|d| format!(" ({d})")).unwrap_or_default()
                )
                .into()),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_addresses_or_names_of_this_device() {
        for good in [
            "127.0.0.1:8080",
            "http://10.0.0.2:80/",
            "localhost:1",
            "[::1]:8080",
        ] {
            assert!(resolve(good).is_ok(), "{good}");
        }
        assert_eq!(resolve(":80").unwrap().to_string(), "127.0.0.1:80");
        assert!(resolve("door.example:80").is_err());
    }
}
