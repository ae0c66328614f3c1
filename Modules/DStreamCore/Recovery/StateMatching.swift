internal import BatchEngine

/// Which operator of a program goes on with which state of a checkpoint.
///
/// Operators with a name are found by it; the others by kind, shape and place, as long as their
/// number is the same. Nothing is guessed: what could be meant in two ways is a problem.
struct StateMatching {
    /// An operator of the program.
    struct Candidate {
        var this: StatefulOperator
        let site: OperatorSite
        /// The name or id it had when the checkpoint was written; nil: the one it has.
        var formerly: String?
        /// The shapes of earlier states that it can make its own from.
        var migrations: Set<String> = []
        /// How long the window is that continues from the state; nil: there is none.
        var slidWindow: Duration?

        var windowText: String? { slidWindow.map { "\($0.milliseconds) ms" } }
    }

    /// For each id in the checkpoint, the operator that takes its state.
    private(set) var taken: [String: StatefulOperator] = [:]
    /// What keeps the program from going on.
    private(set) var problems: [StreamError] = []
    /// The operators that begin without state.
    private(set) var new: [StatefulOperator] = []
    /// Ids in the checkpoint whose state is given up.
    private(set) var discarded: [String] = []

    private var found: [StatefulOperator]
    private var open: [Candidate]

    /// - Parameters:
    ///   - found: the operators in the checkpoint.
    ///   - program: those of the program, in the order of their declaration.
    ///   - discarding: names or ids whose state the program gives up.
    init(found: [StatefulOperator], program: [Candidate], discarding: Set<String> = []) {
        func isGivenUp(_ known: StatefulOperator) -> Bool {
            let names = [known.id, known.name, known.name?.ofWholeOperator]
            return names.contains { $0.map { discarding.contains($0) } ?? false }
        }
        discarded = found.filter(isGivenUp).map(\.id)
        self.found = found.filter { !isGivenUp($0) }
        open = program
        matchNames()
        matchPlaces { $0.this.shape == $1 }
        matchPlaces { $0.migrations.contains($1) }
        problems += self.found.map(leftOver)
        new = open.map(\.this)
    }

    private mutating func matchNames() {
        // Who says what it was called comes first: its former name may be somebody else's now.
        for candidate in open.filter({ $0.formerly != nil }) + open.filter({ $0.formerly == nil }) {
            guard let index = place(of: candidate) else { continue }
            let known = found.remove(at: index)
            open.removeAll { $0.this.id == candidate.this.id }
            if known.shape != candidate.this.shape, !candidate.migrations.contains(known.shape) {
                problems.append(Self.changed(known, to: candidate))
            } else {
                taken[known.id] = candidate.this
            }
        }
    }

    /// Where the state of a candidate with a name is: under the name it has, or the one it had.
    private func place(of candidate: Candidate) -> Int? {
        let ofKind = found.indices.filter { found[$0].kind == candidate.this.kind }
        if let name = candidate.this.name,
            let index = ofKind.first(where: { found[$0].name == name })
        {
            return index
        }
        guard let formerly = candidate.formerly else { return nil }
        return ofKind.first { found[$0].name == formerly || found[$0].id == formerly }
    }

    /// Matches unnamed operators in their order, as long as there are as many as there were.
    private mutating func matchPlaces(_ fits: (Candidate, String) -> Bool) {
        let groups = Dictionary(grouping: found.filter { $0.name == nil }) { [$0.kind, $0.shape] }
        for (group, known) in groups.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            let ours = open.filter {
                $0.this.kind == group[0] && $0.this.name == nil && fits($0, group[1])
            }
            if ours.isEmpty { continue }
            let ids = Set(known.map(\.id))
            found.removeAll { ids.contains($0.id) }
            open.removeAll { candidate in ours.contains { $0.this.id == candidate.this.id } }
            guard ours.count == known.count else {
                problems.append(Self.ambiguous(known, ours))
                continue
            }
            for (known, ours) in zip(known.sorted { $0.number < $1.number }, ours) {
                taken[known.id] = ours.this
            }
        }
    }

    // MARK: What is wrong, and what to do

    private static func changed(_ known: StatefulOperator, to candidate: Candidate) -> StreamError {
        let this = candidate.this
        return StreamError(
            .checkpointMismatch,
            "\(known) kept \(known.shape), and in this program it keeps \(this.shape); turn the old "
                + "state into the new one with migrateState(from:), give it up with "
                + "discardState(of: \"\(known.discardName)\"), or go back to the old type",
            site: candidate.site)
    }

    /// A window of another length would take away, for ever, what the one before does not hold.
    static func lengthened(
        _ known: StatefulOperator, from length: String, to candidate: Candidate
    ) -> StreamError {
        StreamError(
            .checkpointMismatch,
            "\(known) was a window of \(length), and in this program it is one of "
                + "\(candidate.windowText ?? "no length"), which cannot continue from it; "
                + "go back to the old length, or give the window up with discardState(of: "
                + "\"\(known.discardName)\")", site: candidate.site)
    }

    private static func ambiguous(
        _ known: [StatefulOperator], _ ours: [Candidate]
    ) -> StreamError {
        let first = known[0]
        return StreamError(
            .checkpointMismatch,
            "the checkpoint holds \(known.count) unnamed \(first.kind) of \(first.shape), and "
                + "this program has \(ours.count), so it is not known which is which; name those "
                + "that are new with named(_:), and give up what is gone with discardState(of:), "
                + "by id: " + known.map { "\"\($0.id)\"" }.joined(separator: ", "),
            site: ours[0].site)
    }

    private func leftOver(_ known: StatefulOperator) -> StreamError {
        let near = open.filter { $0.this.kind == known.kind }
        if known.name == nil, let other = near.first(where: { $0.this.name == nil }) {
            return Self.changed(known, to: other)
        }
        var text = "the checkpoint holds state of \(known), and this program has no such operator; "
        if let other = near.first(where: { $0.this.shape == known.shape }),
            let name = other.this.name?.ofWholeOperator
        {
            text +=
                "if it is now called \"\(name)\", say named(\"\(name)\", formerly: "
                + "\"\(known.name ?? known.id)\"); otherwise "
        }
        text += "give its state up with discardState(of: \"\(known.discardName)\")"
        return StreamError(.checkpointMismatch, text)
    }
}

extension StatefulOperator {
    /// What is said to give up this state and nothing else: a state and its operator's output have
    /// one name.
    var discardName: String { kind.hasSuffix(Self.outputSuffix) ? id : name ?? id }

    /// Ends the kind of what came out of an operator that also keeps a state.
    static var outputSuffix: String { " output" }
}
