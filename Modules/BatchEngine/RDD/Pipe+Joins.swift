extension Pipe {
    /// The reduce side of a cogroup of two inputs, put side by side by key.
    ///
    /// Each key comes out once, with its values of both inputs in arrival order; keys are in the
    /// order of their first coming, those of the first input first.
    @inlinable
    public static func cogrouped<Key: StreamKey, First: Sendable, Second: Sendable>(
        _ site: OperatorSite
    ) -> Pipe where Element == (Key, ([First], [Second])) {
        let first = Pipe<(Key, First)>.source(site)
        let second = Pipe<(Key, Second)>.source(site)
        let hint = TableSizeHint()
        return Pipe { context, inputs, sink in
            let table = AggregationTable<Key, ([First], [Second])>(minimumCapacity: hint.capacity)
            for case .branch(let side, let inner) in inputs {
                if side == 0 {
                    try first.push(context, inner) { element in
                        table.update(element.0, default: ([], [])) { $0.0.append(element.1) }
                    }
                } else {
                    try second.push(context, inner) { element in
                        table.update(element.0, default: ([], [])) { $0.1.append(element.1) }
                    }
                }
            }
            hint.record(table.count)
            try table.drain { try sink(($0, $1)) }
        }
    }

    /// The reduce side of a cogroup of three inputs; see ``cogrouped(_:)-(OperatorSite)``.
    @inlinable
    public static func cogrouped<
        Key: StreamKey, First: Sendable, Second: Sendable, Third: Sendable
    >(
        _ site: OperatorSite
    ) -> Pipe where Element == (Key, ([First], [Second], [Third])) {
        let first = Pipe<(Key, First)>.source(site)
        let second = Pipe<(Key, Second)>.source(site)
        let third = Pipe<(Key, Third)>.source(site)
        let hint = TableSizeHint()
        return Pipe { context, inputs, sink in
            let table = AggregationTable<Key, ([First], [Second], [Third])>(
                minimumCapacity: hint.capacity)
            for case .branch(let side, let inner) in inputs {
                switch side {
                case 0:
                    try first.push(context, inner) { element in
                        table.update(element.0, default: ([], [], [])) { $0.0.append(element.1) }
                    }
                case 1:
                    try second.push(context, inner) { element in
                        table.update(element.0, default: ([], [], [])) { $0.1.append(element.1) }
                    }
                default:
                    try third.push(context, inner) { element in
                        table.update(element.0, default: ([], [], [])) { $0.2.append(element.1) }
                    }
                }
            }
            hint.record(table.count)
            try table.drain { try sink(($0, $1)) }
        }
    }

    /// The reduce side of a cogroup of four inputs; see ``cogrouped(_:)-(OperatorSite)``.
    @inlinable
    public static func cogrouped<
        Key: StreamKey, First: Sendable, Second: Sendable, Third: Sendable, Fourth: Sendable
    >(
        _ site: OperatorSite
    ) -> Pipe where Element == (Key, ([First], [Second], [Third], [Fourth])) {
        let first = Pipe<(Key, First)>.source(site)
        let second = Pipe<(Key, Second)>.source(site)
        let third = Pipe<(Key, Third)>.source(site)
        let fourth = Pipe<(Key, Fourth)>.source(site)
        let hint = TableSizeHint()
        return Pipe { context, inputs, sink in
            let table = AggregationTable<Key, ([First], [Second], [Third], [Fourth])>(
                minimumCapacity: hint.capacity)
            for case .branch(let side, let inner) in inputs {
                switch side {
                case 0:
                    try first.push(context, inner) { element in
                        table.update(element.0, default: ([], [], [], [])) {
                            $0.0.append(element.1)
                        }
                    }
                case 1:
                    try second.push(context, inner) { element in
                        table.update(element.0, default: ([], [], [], [])) {
                            $0.1.append(element.1)
                        }
                    }
                case 2:
                    try third.push(context, inner) { element in
                        table.update(element.0, default: ([], [], [], [])) {
                            $0.2.append(element.1)
                        }
                    }
                default:
                    try fourth.push(context, inner) { element in
                        table.update(element.0, default: ([], [], [], [])) {
                            $0.3.append(element.1)
                        }
                    }
                }
            }
            hint.record(table.count)
            try table.drain { try sink(($0, $1)) }
        }
    }
}

extension Pipe {
    /// The reduce side of an inner join: each pair of values that two inputs have of a key.
    @inlinable
    public static func joined<Key: StreamKey, First: Sendable, Second: Sendable>(
        _ site: OperatorSite
    ) -> Pipe where Element == (Key, (First, Second)) {
        Pipe<(Key, ([First], [Second]))>.cogrouped(site).rows(site) { values, emit in
            for first in values.0 {
                for second in values.1 { try emit((first, second)) }
            }
        }
    }

    /// The reduce side of a left outer join: a value of the first input without a counterpart is
    /// paired with nil.
    @inlinable
    public static func leftOuterJoined<Key: StreamKey, First: Sendable, Second: Sendable>(
        _ site: OperatorSite
    ) -> Pipe where Element == (Key, (First, Second?)) {
        Pipe<(Key, ([First], [Second]))>.cogrouped(site).rows(site) { values, emit in
            for first in values.0 {
                for second in values.1 { try emit((first, .some(second))) }
                if values.1.isEmpty { try emit((first, nil)) }
            }
        }
    }

    /// The reduce side of a right outer join: a value of the second input without a counterpart is
    /// paired with nil.
    @inlinable
    public static func rightOuterJoined<Key: StreamKey, First: Sendable, Second: Sendable>(
        _ site: OperatorSite
    ) -> Pipe where Element == (Key, (First?, Second)) {
        Pipe<(Key, ([First], [Second]))>.cogrouped(site).rows(site) { values, emit in
            if values.0.isEmpty {
                for second in values.1 { try emit((nil, second)) }
            }
            for first in values.0 {
                for second in values.1 { try emit((.some(first), second)) }
            }
        }
    }

    /// The reduce side of a full outer join: a value of either input without a counterpart is
    /// paired with nil.
    @inlinable
    public static func fullOuterJoined<Key: StreamKey, First: Sendable, Second: Sendable>(
        _ site: OperatorSite
    ) -> Pipe where Element == (Key, (First?, Second?)) {
        Pipe<(Key, ([First], [Second]))>.cogrouped(site).rows(site) { values, emit in
            if values.0.isEmpty {
                for second in values.1 { try emit((nil, .some(second))) }
            }
            for first in values.0 {
                for second in values.1 { try emit((.some(first), .some(second))) }
                if values.1.isEmpty { try emit((.some(first), nil)) }
            }
        }
    }

    /// The rows that a body makes of each key's values, each with the key.
    @inlinable
    func rows<Key: Sendable, Grouped: Sendable, Row: Sendable>(
        _ site: OperatorSite,
        _ body: @escaping @Sendable (Grouped, (Row) throws -> Void) throws -> Void
    ) -> Pipe<(Key, Row)> where Element == (Key, Grouped) {
        Pipe<(Key, Row)>(around: depth, site) { context, inputs, sink in
            // A key may have very many rows.
            var check = CancellationCheck(context)
            try push(context, inputs) { element in
                try body(element.1) { row in
                    try check.next()
                    try sink((element.0, row))
                }
            }
        }
    }
}
