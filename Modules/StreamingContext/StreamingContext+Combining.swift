internal import BatchEngine
public import DStreamCore

extension StreamingContext {
    /// The elements of all `streams`, one stream after the other.
    ///
    /// The streams have the same slide; a batch in which one has no RDD cannot be generated. No
    /// streams at all are reported by ``start()``.
    public func union<Element: Sendable>(
        _ streams: [DStream<Element>], file: String = #fileID, line: UInt = #line
    ) -> DStream<Element> {
        let site = OperatorSite("union", file: file, line: line)
        if let stream = DStream.union(streams, site) {
            if stream.graph !== graph {
                graph.record(
                    StreamError(
                        .contextMismatch, "the streams belong to another context", site: site))
            }
            return stream
        }
        graph.record(
            StreamError(.noInput, "union was given no streams; give it at least one", site: site))
        return graph.inputStream("union", isReplayable: true, file: file, line: line) { _, _ in nil
        }
    }
}
