internal import BatchEngine
internal import Synchronization

extension DStreamGraph {
    /// Says that state will be captured; called between the start and the first batch.
    package func prepareCapture() {
        for (_, capture) in stateCaptures { capture.prepare() }
    }

    /// What operators keep between batches, as far as it changed.
    ///
    /// - Parameters:
    ///   - time: the batch after which it is taken.
    ///   - since: the batch after which it was last kept; nil: everything is taken.
    /// - Returns: the pieces, and the oldest batch of which any piece is needed.
    public func captureState(
        through time: BatchTime, since: BatchTime?, _ context: GenerationContext
    ) async throws -> (pieces: [OperatorState], oldest: BatchTime) {
        let captures = stateCaptures
        if captures.isEmpty { return ([], time) }
        let engine = context.batch.engine
        let taken = SharedPieces(oldest: time)
        try await engine.perform("checkpoint of batch \(time)") {
            for (id, capture) in captures {
                let request = StateCapture.Request(
                    operatorID: id, time: time, since: since, engine: engine)
                let (pieces, oldest) = try capture.take(request)
                taken.add(pieces, oldest)
            }
        }
        return taken.value
    }

    /// Puts back what operators kept; called between the start and the first batch.
    ///
    /// - Parameter time: the batch after which it was taken.
    /// - Throws: ``StreamError`` `.checkpointMismatch` when there is state that no operator of this
    ///   program takes; what decoding throws.
    public func restoreState(_ pieces: [OperatorState], asOf time: BatchTime) throws {
        let captures = Dictionary(stateCaptures) { first, _ in first }
        for (id, pieces) in Dictionary(grouping: pieces, by: \.operatorID) {
            guard let capture = captures[id] else {
                throw StreamError(
                    .checkpointMismatch,
                    "the checkpoint holds state of \(id), and this program has no such operator; "
                        + "give operators that keep state names with named(_:), and keep those "
                        + "names, or start from an empty checkpoint directory")
            }
            try capture.restore(pieces, time)
        }
    }

    /// What is captured, by the ids of operators.
    private var stateCaptures: [(id: String, capture: StateCapture)] {
        var counts: [String: Int] = [:]
        return nodes.compactMap { node in
            guard let capture = node.settings.withLock({ $0.capture }) else { return nil }
            if let name = node.name { return ("\(node.site.name) \"\(name)\"", capture) }
            // By place among those of the same kind and shape: other operators come and go.
            let kind = "\(node.site.name) of \(node.traits.stateShape ?? node.shape)"
            let number = counts[kind, default: 0]
            counts[kind] = number + 1
            return ("\(kind) #\(number)", capture)
        }
    }
}

/// What the operators of a graph gave, gathered on an engine thread.
private final class SharedPieces: Sendable {
    private let state: Locked<(pieces: [OperatorState], oldest: BatchTime)>

    init(oldest: BatchTime) { state = Locked(([], oldest)) }

    func add(_ pieces: [OperatorState], _ oldest: BatchTime) {
        state.withLock { state in
            state.pieces += pieces
            state.oldest = min(state.oldest, oldest)
        }
    }

    var value: (pieces: [OperatorState], oldest: BatchTime) { state.withLock { $0 } }
}
