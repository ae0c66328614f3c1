public import BatchEngine
internal import Synchronization

extension DStream {
    /// Says how an earlier type of state becomes the one that `updateStateByKey` keeps now.
    ///
    /// A run then resumes from a checkpoint with states of type `Old`, once; one with states of this
    /// program's type is used as it is. Several may be given, one for each earlier type.
    ///
    /// - Parameters:
    ///   - old: the earlier type, which still has its codec and its shape.
    ///   - migrate: called with each state when the program starts. What it throws keeps the
    ///     program from starting, and the checkpoint is as it was.
    @discardableResult
    public func migrateState<Key: StreamKey, StateValue: Sendable, Old: Sendable>(
        from old: Old.Type = Old.self, file: String = #fileID, line: UInt = #line,
        _ migrate: @escaping @Sendable (Old) throws -> StateValue
    ) -> DStream where Element == (Key, StateValue) {
        let site = OperatorSite("migrateState", file: file, line: line)
        let keepsState = node.traits.stateShape == elementShape(of: Element.self)
        addMigration(site, from: Codec<(Key, Old)>.resolve(), .resolve(), keepsState: keepsState) {
            ($0.0, try migrate($0.1))
        }
        return self
    }

    /// Adds a migration, by what is kept under a key and its state.
    func addMigration<Old: Sendable, New: Sendable>(
        _ site: OperatorSite, shape: String? = nil, from old: Codec<Old>?, _ new: Codec<New>?,
        keepsState: Bool, _ migrate: @escaping @Sendable (Old) throws -> New
    ) {
        guard keepsState else {
            graph.record(
                StreamError(
                    .badConfiguration,
                    "\(node.site.name) keeps no such state; call migrateState(from:) on what "
                        + "updateStateByKey or mapWithState gave", site: site))
            return
        }
        guard let old, let new else {
            graph.record(
                StreamError(
                    .codecMissing,
                    "\(Old.self) or \(New.self) has no codec; declare its types StreamCodable",
                    site: site))
            return
        }
        let (operatorSite, shape) = (node.site, shape ?? old.shape)
        let isKnown = node.settings.withLock { $0.migrations[shape] != nil }
        if isKnown || shape == node.traits.stateShape {
            graph.record(
                StreamError(
                    .badConfiguration,
                    "migrateState(from: \(Old.self)) of \(operatorSite.name) would never be called: "
                        + (isKnown
                            ? "there is one from \(shape) already; leave one of them out"
                            : "the operator keeps \(shape), and states of this type are used as "
                                + "they are; give the new state a type of its own"),
                    site: site))
            return
        }
        node.settings.withLock { settings in
            settings.migrations[shape] = { piece in
                var piece = piece
                piece.values = try piece.values.recoded(old, new) { state in
                    do { return try migrate(state) } catch {
                        throw StreamError(
                            .checkpointMismatch,
                            "migrateState(from:) of \(operatorSite.name) failed", site: site,
                            underlying: error)
                    }
                }
                return piece
            }
        }
    }
}

extension MapWithStateDStream {
    /// Says how an earlier type of state becomes the one that is kept now.
    ///
    /// As ``DStream/migrateState(from:file:line:_:)``. When a state was last updated stays as it was.
    @discardableResult
    public func migrateState<Old: Sendable>(
        from old: Old.Type = Old.self, file: String = #fileID, line: UInt = #line,
        _ migrate: @escaping @Sendable (Old) throws -> StateValue
    ) -> MapWithStateDStream {
        mapped.addMigration(
            OperatorSite("migrateState", file: file, line: line),
            shape: elementShape(of: (Key, Old).self),
            from: Codec<(Key, (Old, Int64))>.resolve(), Codec<(Key, (StateValue, Int64))>.resolve(),
            keepsState: true
        ) { ($0.0, (try migrate($0.1.0), $0.1.1)) }
        return self
    }
}

extension EncodedValues {
    /// The same values by another codec.
    func recoded<Old, New>(
        _ old: Codec<Old>, _ new: Codec<New>, _ change: (Old) throws -> New
    ) throws -> EncodedValues {
        var writer = ByteWriter()
        try forEach { new.encode(try change(old.decode(&$0)), &writer) }
        return EncodedValues(bytes: try writer.takeBytes(), count: count)
    }
}
