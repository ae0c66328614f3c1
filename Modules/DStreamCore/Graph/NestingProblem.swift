internal import BatchEngine
internal import Synchronization

extension StreamNode {
    /// What is wrong with how deeply the operators up to here are nested, once frozen.
    var nestingProblem: StreamError? {
        let most = Pipe<Never>.depthMaximum
        guard settings.withLock({ $0.nesting }) > most else { return nil }
        return StreamError(
            .badDeclaration,
            "more than \(most) operators are nested; persist() a stream on the way, or make one "
                + "union of an array of streams", site: site)
    }
}
