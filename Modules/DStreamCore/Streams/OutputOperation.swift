public import BatchEngine

/// A declared output operation: what `print`, `foreachRDD` and the others return.
///
/// ```swift
/// counts.foreachRDD { rdd, time in try await table.insert(rdd.collect(), at: time) }
///     .named("table")
///     .onFailure(retry: RetryPolicy(maxAttempts: 3), then: .deadLetter)
/// ```
public struct OutputOperation: Sendable {
    /// The operation in the user's source.
    public let site: OperatorSite
    let graph: DStreamGraph
    /// nil: it was declared too late and does nothing.
    let number: Int?

    /// Says what follows when the operation fails; without it, the configuration does.
    ///
    /// - Parameters:
    ///   - retry: how often it runs again first.
    ///   - policy: what follows then; nil: what the configuration says. ``FailurePolicy/deadLetter``
    ///     needs a directory, and a codec for the elements of the stream and of the input streams
    ///     below it: `start()` throws when one is missing.
    @discardableResult
    public func onFailure(
        retry: RetryPolicy = .none, then policy: FailurePolicy? = nil, file: String = #fileID,
        line: UInt = #line
    ) -> OutputOperation {
        let site = OperatorSite("onFailure", file: file, line: line)
        if let problem = retry.problem {
            graph.record(StreamError(.badDeclaration, problem, site: site))
        }
        graph.changeOutput(number, site) { $0.failure = (retry, policy) }
        return self
    }

    /// Names the operation, so that its dead letters are found again after the program was changed.
    ///
    /// Unnamed ones are known by their place among those of the same kind and element type.
    @discardableResult
    public func named(
        _ name: String, file: String = #fileID, line: UInt = #line
    ) -> OutputOperation {
        let site = OperatorSite("named", file: file, line: line)
        graph.changeOutput(number, site) { $0.name = name }
        return self
    }
}
