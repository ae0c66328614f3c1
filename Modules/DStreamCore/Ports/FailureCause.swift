package import BatchEngine

/// What is at the bottom of an error thrown by generating or running a batch.
package struct FailureCause {
    /// The innermost operator named on the way.
    package private(set) var site: OperatorSite?
    /// The failed task in words, when it was one.
    package private(set) var task: String?
    /// What the user's closure or the system threw.
    package private(set) var error: any Error

    /// Takes off the wrappers of operators and of the engine.
    package init(_ thrown: any Error) {
        error = thrown
        while true {
            if let failure = error as? OperatorFailure {
                site = failure.site
                error = failure.underlying
            } else if let failure = error as? EngineError, let underlying = failure.underlying {
                site = failure.site ?? site
                if let partition = failure.partition {
                    task = "partition \(partition), tried \(failure.attempts) times"
                }
                error = underlying
            } else {
                break
            }
        }
        if let failure = error as? EngineError { site = failure.site ?? site }
        if let failure = error as? StreamError { site = failure.site ?? site }
    }

    /// Operator, task and error in one line, for events.
    package var text: String {
        let place = [site.map { "\($0)" }, task].compactMap { $0 }.joined(separator: ", ")
        return place.isEmpty ? "\(error)" : "\(place): \(error)"
    }
}
