public import BatchEngine
public import DStreamCore

extension StreamingContext {
    /// Makes each batch's RDD from those of several streams by `body`, which runs once per batch.
    ///
    /// The RDDs come in the order of the streams, which have the same slide; a batch in which one has
    /// no RDD cannot be generated. No streams at all are reported by ``start()``.
    @inlinable
    public func transform<Input: Sendable, Output: Sendable>(
        _ streams: [DStream<Input>], file: String = #fileID, line: UInt = #line,
        _ body: @escaping @Sendable ([RDD<Input>], BatchTime) async throws -> RDD<Output>
    ) -> DStream<Output> {
        let site = OperatorSite("transform", file: file, line: line)
        if let stream = DStream<Output>.transform(streams, site, body) {
            if stream.graph !== graph {
                graph.record(
                    StreamError(
                        .contextMismatch, "the streams belong to another context", site: site))
            }
            return stream
        }
        graph.record(
            StreamError(
                .noInput, "transform was given no streams; give it at least one", site: site))
        return graph.inputStream("transform", isReplayable: true, file: file, line: line) { _, _ in
            nil
        }
    }
}
