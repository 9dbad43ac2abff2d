//! The body of an answer on its way to the client: in pieces, so that no more of it is buffered than the client makes room
//! for, and seen until it is over.

use super::activity::Serving;
use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// As much as goes into one frame of HTTP/2. h2 asks for a frame where there is room for a byte, and buffers all of it.
const PIECE_BYTES: usize = 16 * 1024;

pin_project! {
    pub(super) struct Answer<B> {
        #[pin]
        body: B,
        // Of the last frame that `body` gave.
        rest: Bytes,
        serving: Serving,
    }
}

impl<B> Answer<B> {
    pub(super) fn new(body: B, mut serving: Serving) -> Self {
        serving.moves();
        Self { body, rest: Bytes::new(), serving }
    }
}

impl<B: HttpBody<Data = Bytes>> HttpBody for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        this.serving.moves();
        if this.rest.is_empty() {
            let Some(frame) = ready!(this.body.poll_frame(context)?) else { return Poll::Ready(None) };
            match frame.into_data() {
                Ok(data) => *this.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (left, of_body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower() + left);
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + left);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connections::activity::Activity;
    use axum::body::Body;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_large_answer_is_given_in_pieces_and_tells_how_much_is_left() {
        let whole: Bytes = (0..40_000_u32).map(|n| n as u8).collect::<Vec<_>>().into();
        let mut answer = Answer::new(Body::from(whole.clone()), Arc::new(Activity::new()).serve(true));
        let (mut pieces, mut left) = (Vec::new(), vec![answer.size_hint().exact()]);
        while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut answer).poll_frame(context)).await {
            pieces.push(frame.expect("no error").into_data().expect("data"));
            left.push(answer.size_hint().exact());
        }
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [16_384, 16_384, 7_232]);
        assert_eq!(left, [Some(40_000), Some(23_616), Some(7_232), Some(0)]);
        assert_eq!(pieces.concat(), whole);
        assert!(answer.is_end_stream());
    }
}
