internal import BatchEngine
internal import Synchronization

extension DStreamGraph {
    /// Says, before the start, that what operators keep will be written, wherever that is.
    package func expectCheckpoints() { state.withLock { $0.hasCheckpoints = true } }

    /// The errors of streams that keep something between batches which has no codec, so that it would
    /// be in no checkpoint: each type once per operator.
    ///
    /// - Parameter nodes: the streams that outputs depend on, in declaration order.
    func missingCodecs(in nodes: [StreamNode]) -> [StreamError] {
        var problems: [StreamError] = []
        for node in nodes where node.codecProblem == nil {
            guard let (type, isState) = node.settings.withLock({ $0.uncapturable }) else {
                continue
            }
            // What a window reads is kept by the stream before it, and the window is why.
            let reader = nodes.first { other in
                other.traits.parentRemember > .zero && other.parents.contains { $0 === node }
            }
            let site = isState ? node.site : reader?.site ?? node.site
            let problem = StreamError.keptWithoutCodec(type, site)
            let isKnown = problems.contains {
                $0.site == problem.site && $0.message == problem.message
            }
            if !isKnown { problems.append(problem) }
        }
        return problems
    }
}

extension StreamNode {
    /// Sets how the operator's state gets into checkpoints.
    ///
    /// - Parameters:
    ///   - capture: nil: it cannot, for want of a codec.
    ///   - type: the type that has none.
    @usableFromInline
    func setCapture(_ capture: StateCapture?, withoutCodec type: Any.Type? = nil) {
        settings.withLock { settings in
            settings.capture = capture
            if capture == nil, let type { settings.uncapturable = (type, true) }
        }
    }

    /// Notes that elements which later batches ask for have no codec.
    ///
    /// A stream that is remembered only because its children are checkpointed is asked for by nobody.
    func noteUncapturable(_ kernel: Kernel, _ settings: inout Settings) {
        let isAsked = max(settings.asked, settings.ownRemember) > slideDuration
        guard isAsked || traits.isIncremental, settings.uncapturable == nil,
            let type = kernel.typeWithoutCodec()
        else { return }
        settings.uncapturable = (type, false)
    }
}

extension StreamError {
    /// What an operator keeps between batches cannot be in a checkpoint.
    static func keptWithoutCodec(_ type: Any.Type, _ site: OperatorSite) -> StreamError {
        let line = "extension \(sourceName(of: type)): StreamCodable {}"
        let isCodable = type is any Codable.Type
        return StreamError(
            .codecMissing,
            "a checkpoint turns what \(site.name) keeps between batches into bytes, and \(type) has "
                + "no codec; \(isCodable ? "add" : "make it Codable and add") `\(line)`",
            site: site)
    }

    /// The name of a type as source text has it, as far as that is known.
    private static func sourceName(of type: Any.Type) -> String {
        let full = String(reflecting: type)
        guard !full.contains("("), let dot = full.firstIndex(of: ".") else { return "\(type)" }
        return full.contains("<") ? "\(type)" : String(full[full.index(after: dot)...])
    }
}
